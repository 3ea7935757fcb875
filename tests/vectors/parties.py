"""A party of a session file as one of secagg's machines.

Events of the file become the machine's, its effects become those of the file, so that
the two can be compared whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from secagg import codec, errors, events
from secagg import messages as msg
from secagg.client import Client
from secagg.client_state import TaskMemory
from secagg.differences import SummedSet
from secagg.engine import MaskSeed
from secagg.identity import Identity
from secagg.masking import removed_pair_masks, split
from secagg.names import PeerId, Round
from secagg.policy import Policy
from secagg.server import Server
from secagg.signing import seal
from tests.vectors.files import ScriptedEntropy, content, roster_of, unhex

Effects = dict[str, Any]


class Everything(frozenset[str]):
    """Holds every name."""

    def __contains__(self, name: object) -> bool:
        return True


@dataclass
class ClientParty:
    """A hospital."""

    machine: Client
    identity: Identity
    aggregator: PeerId
    hc: bytes
    members: int

    def feed(self, kind: str, given: dict[str, Any]) -> Effects:
        """Feed one event; return the effects as a file writes them."""
        match kind:
            case "input_ready":
                event: events.ClientEvent = events.InputReady(
                    task_id=given["task_id"],
                    round_no=given["round_no"],
                    model_hash=unhex(given["model_hash"]),
                )
            case "vector_masked":
                assert self.machine.sid is not None
                root = unhex(given["root"])
                event = events.VectorMasked(sid=self.machine.sid, root=root)
            case _:
                try:
                    event = received(given, self.members)
                except errors.CodecError as error:
                    return {"refuse": error.rule}
        return self._written(self.machine.handle(event))

    def _written(self, effects: Sequence[events.ClientEffect]) -> Effects:
        written: Effects = {}
        for effect in effects:
            match effect:
                case events.SayReady():
                    written["send"] = [self._ready(effect.ready)]
                case events.Send():
                    self._sent(effect, written)
                case events.MaskVector():
                    written["mask_vector"] = masks(effect.seeds, effect.signs)
                case events.Completed():
                    written["completed"] = {
                        "link": effect.link.hex(),
                        "included": effect.included,
                    }
                case events.Aborted():
                    self._aborted(effect, written)
                case events.Ignored() if effect.rule in {"3.4-8", "8-6"}:
                    written["ignored"] = [effect.peer, effect.rule]
                case _:
                    pass
        return written

    def _sent(self, effect: events.Send, written: Effects) -> None:
        """A Refusal is its rule; everything else is bytes."""
        if effect.envelope.type == "Refusal":
            refusal = codec.decode_body("Refusal", effect.envelope.body, members=100)
            assert isinstance(refusal, msg.Refusal)
            written["refuse"] = refusal.rule
            return
        sent = [effect.receiver, codec.encode_envelope(effect.envelope).hex()]
        written.setdefault("send", []).append(sent)

    def _aborted(self, effect: events.Aborted, written: Effects) -> None:
        """To refuse is to leave: the end is not written a second time."""
        if written.get("refuse") == effect.code:
            return
        written["aborted"] = {
            "code": effect.code,
            "missing": list(effect.missing),
            "retry": effect.retry,
        }

    def _ready(self, ready: msg.Ready) -> list[str]:
        """The driver's part: Ready is sealed under the connection's transcript."""
        envelope = seal(
            ready,
            identity=self.identity,
            receiver=self.aggregator,
            sid=msg.LOBBY_SID,
            h=self.hc,
        )
        return [self.aggregator, codec.encode_envelope(envelope).hex()]


@dataclass
class ServerParty:
    """The aggregator."""

    machine: Server

    def feed(self, kind: str, given: dict[str, Any]) -> Effects:
        """Feed one event; return the effects as a file writes them."""
        if kind == "opened":
            return self._written(self.machine.start())
        if kind == "received":
            try:
                event: events.ServerEvent = received(given, self.machine.params.n)
            except errors.CodecError as error:
                return {"drop": [given["peer"], error.rule]}
        else:
            event = self._event(kind, given)
        return self._written(self.machine.handle(event))

    def _event(self, kind: str, given: dict[str, Any]) -> events.ServerEvent:
        match kind:
            case "vector_stored":
                return events.VectorStored(
                    peer=given["peer"], root=unhex(given["root"])
                )
            case "deadline_passed":
                return events.DeadlinePassed(round=Round(given["round"]))
            case _:
                body = unhex(given["result"])
                n = self.machine.params.n
                result = codec.decode_body("Result", body, members=n)
                assert isinstance(result, msg.Result)
                return events.SumOpened(result=result)

    def _written(self, effects: Sequence[events.ServerEffect]) -> Effects:
        written: Effects = {}
        told: list[PeerId] = []
        for effect in effects:
            match effect:
                case events.Send() if effect.envelope.type == "Abort":
                    told.append(effect.receiver)
                case events.Send():
                    data = codec.encode_envelope(effect.envelope).hex()
                    written.setdefault("send", []).append([effect.receiver, data])
                case events.OpenSum():
                    written["open_sum"] = {
                        "u3": list(effect.u3),
                        "seeds": masks(*removed_masks(effect)),
                    }
                case events.Drop():
                    written["drop"] = [effect.peer, effect.rule]
                case events.Completed():
                    written["completed"] = {"link": effect.link.hex()}
                case events.Aborted():
                    written["aborted"] = {
                        "code": effect.code,
                        "missing": list(effect.missing),
                        "culprits": list(effect.culprits),
                        "retry": effect.retry,
                        "to": told,
                    }
                case events.Ignored() if effect.rule in {"3.4-8", "8-6"}:
                    written["ignored"] = [effect.peer, effect.rule]
                case _:
                    pass
        return written


def received(given: dict[str, Any], members: int) -> events.Received:
    """A message, decoded as far as a driver does."""
    envelope = codec.decode_envelope(unhex(given["data"]), members=members)
    return events.Received(peer=PeerId(given["peer"]), envelope=envelope)


def removed_masks(
    effect: events.OpenSum,
) -> tuple[Sequence[MaskSeed], Sequence[int]]:
    """Seeds and signs of all that an aggregator takes off."""
    pairs = [mask for lost in effect.lost for mask in removed_pair_masks(lost)]
    seeds, signs = split(pairs)
    return (*effect.seeds, *seeds), (*effect.signs, *signs)


def masks(seeds: Sequence[MaskSeed], signs: Sequence[int]) -> list[list[Any]]:
    """[[key, tag, sign], ...], sorted."""
    pairs = zip(seeds, signs, strict=True)
    return sorted([seed.key.hex(), int(seed.tag), sign] for seed, sign in pairs)


def party(name: str, who: str) -> ClientParty | ServerParty:
    """A party of a session file, before its first event."""
    file = content(name)
    given, roster = file["parties"][who], roster_of(file["roster"])
    identity = Identity(PeerId(who), unhex(given["identity"]))
    if given["role"] == "aggregator":
        manifest = manifest_of(name)
        machine = Server(identity=identity, roster=roster, manifest=manifest)
        return ServerParty(machine)
    state = given["state"]
    memory = TaskMemory(
        last_joined=tuple(state["joined"]),
        head=unhex(state["head"]),
        spent_round=state["spent" if "spent" in state else "released"],
        sums=tuple(
            SummedSet(frozenset(u3), unhex(model), bool(constants))
            for u3, model, constants in state.get("sums", [])
        ),
    )
    allowed = Policy(
        min_members=given["policy"]["min_members"],
        min_difference=given["policy"].get("min_difference", 0),
        corruption_bound=0,
        min_inputs=0,
        weightings=Everything(),
        max_weight=1 << 62,
        max_length=1 << 62,
        smallest_sparse=0,
        sparse_corrupt_percent=0,
    )
    client = Client(
        identity=identity,
        roster=roster,
        policy=allowed,
        entropy=ScriptedEntropy(given["entropy"]),
        aggregator=PeerId(file["aggregator"]),
        memory=dict.fromkeys(tasks(given), memory),
    )
    return ClientParty(
        machine=client,
        identity=identity,
        aggregator=PeerId(file["aggregator"]),
        hc=unhex(file["hc"]),
        members=len(roster.members),
    )


def manifest_of(name: str) -> msg.Manifest:
    """The Manifest of a session file; the last one, if there are more."""
    body = unhex(content(name)["manifest"])
    manifest = codec.decode_body("Manifest", body, members=4096)
    assert isinstance(manifest, msg.Manifest)
    return manifest


def tasks(given: dict[str, Any]) -> set[str]:
    """The tasks that a party says Ready for."""
    ready = [op["event"].get("input_ready") for op in given["operations"]]
    return {event["task_id"] for event in ready if event is not None}


def operations(name: str, who: str) -> Iterator[tuple[str, dict[str, Any], Effects]]:
    """The events of a party and the effects that each must have."""
    file = content(name)
    envelopes = file["envelopes"]
    for operation in file["parties"][who]["operations"]:
        [(kind, given)] = operation["event"].items()
        given = {**given} if given else {}
        if "envelope" in given:
            given["data"] = envelopes[given["envelope"]]
        expected = dict(operation["expect"])
        if "send" in expected:
            expected["send"] = [[to, envelopes[e]] for to, e in expected["send"]]
        yield kind, given, expected
