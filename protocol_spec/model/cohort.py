"""A whole session in one place: clients, aggregator, losses, and what each did.

The runner carries messages between the machines in the order of the ids and writes down
every event with its effects; `vectors/README.md` gives the form.
"""

from __future__ import annotations

import copy
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from protocol_spec.model import plane, quantize
from protocol_spec.model.checks import Standing
from protocol_spec.model.client import Client
from protocol_spec.model.encoding import real
from protocol_spec.model.entropy import Entropy
from protocol_spec.model.envelope import decode_envelope
from protocol_spec.model.keystream import stream
from protocol_spec.model.messages import Body, encode_body
from protocol_spec.model.roster import open_roster
from protocol_spec.model.server import PHASES, Effects, Server
from protocol_spec.model.setting import (
    AGGREGATOR,
    HC,
    MODEL_HASH,
    base_manifest,
    hospitals,
    identity,
    noise_record,
    signed_roster,
)

Tamper = Callable[["Cohort", str, bytes], bytes]
"""What a corrupt member sends in place of an honest envelope."""

NEVER = len(PHASES)


@dataclass
class Party:
    """One party of the record.

    Attributes:
        machine: the client or the server.
        operations: its events and their effects, in order.
        snapshots: the machine and the number of operations before a message, by the
            type (and, for the aggregator, the sender) of the message received; under
            ``last`` those before the last event.
    """

    machine: Any
    operations: list[tuple[str, Body, Effects]] = field(default_factory=list)
    snapshots: dict[str, tuple[Any, int]] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    given: Body = field(default_factory=dict)


class Cohort:
    """Runs a session and keeps the record.

    Args:
        name: seeds every draw.
        n: members.
        c: the corruption bound.
        changes: fields of the Manifest other than the ordinary ones.
        silent: the first round at which a member falls silent.
        late: members that vote, but whose vector comes too late.
        corrupt: members whose record is not kept, with what they send instead.
        snap: whether to keep a snapshot before every message.
        repeat: whether every message comes twice.
        discard: whether the release discards the sum.
        version: of the roster.
    """

    def __init__(
        self,
        name: str,
        n: int,
        c: int,
        *,
        changes: Body | None = None,
        silent: dict[str, str] | None = None,
        late: tuple[str, ...] = (),
        corrupt: dict[str, Tamper] | None = None,
        snap: bool = False,
        repeat: bool = False,
        discard: bool = False,
        version: int = 1,
    ) -> None:
        """Build the clients; nothing is sent yet."""
        self.name, self.n, self.c, self.snap = name, n, c, snap
        self.changes, self.late = changes or {}, late
        self.repeat, self.discard = repeat, discard
        self.silent = {v: PHASES.index(r) for v, r in (silent or {}).items()}
        self.corrupt = corrupt or {}
        self.roster_parts = signed_roster(n, version)
        self.roster = open_roster(*self.roster_parts)
        self.members = hospitals(n)
        self.parties = {v: self._client(v) for v in self.members}
        self.result: Body = {}

    def _client(self, v: str) -> Party:
        entropy = Entropy(f"{self.name}/{v}")
        head = self.changes.get("previous_link", bytes(32))
        args = (v, identity(v), AGGREGATOR, HC, self.roster)
        machine = Client(*args, Standing(head=head), entropy)
        return Party(machine, standing=Standing(head=head))

    @property
    def server(self) -> Server:
        """The aggregator's machine."""
        machine = self.parties[AGGREGATOR].machine
        assert isinstance(machine, Server)  # noqa: S101 built in `run`
        return machine

    def step(self, who: str, event: str, given: Body) -> Effects:
        """Feed one event and write it down."""
        party = self.parties[who]
        if self.snap:
            self._keep(party, event, given)
        effects: Effects = party.machine.handle(event, given)
        party.operations.append((event, given, effects))
        if self.repeat and event == "received":
            again = party.machine.handle(event, given)
            party.operations.append((event, given, again))
        return effects

    def _keep(self, party: Party, event: str, given: Body) -> None:
        """A snapshot before the event, and before the message if it is one."""
        snapshot = (copy.deepcopy(party.machine), len(party.operations))
        party.snapshots["last"] = snapshot
        if event == "received":
            kind = decode_envelope(given["envelope"], self.n).type
            to_s = party is self.parties.get(AGGREGATOR)
            key = f"{kind}/{given['peer']}" if to_s else kind
            party.snapshots.setdefault(key, snapshot)

    # --- the session -------------------------------------------------------

    def run(self) -> Cohort:
        """Run to the end: a Result or an Abort."""
        self.open(self._proposed())
        return self

    def run_until(self, kind: str) -> Effects:
        """Run until S has messages of this type to send; return them."""
        effects = self._begin(self._proposed())
        while decode_envelope(effects["send"][0][1], self.n).type != kind:
            effects = self._round(effects)
        return effects

    def _proposed(self) -> Body:
        """All are ready: the Manifest over them."""
        said = {
            "task_id": self.changes.get("task_id", "task"),
            "round_no": self.changes.get("round_no", 1),
            "model_hash": MODEL_HASH,
        }
        for v in self.members:
            self.step(v, "input_ready", said)
        ready = {v: self.parties[v].machine.ready for v in self.members}
        rows = [[v, ready[v]["ready_nonce"]] for v in self.members]
        return {**base_manifest(self.roster, rows, self.c), **self.changes}

    def next_round(self) -> Cohort:
        """Run the task's next round with the same clients."""
        completed = self.parties[AGGREGATOR].operations[-1][2]["completed"]
        round_no = self.server.manifest["round_no"] + 1
        link = completed["link"]
        self.changes = {**self.changes, "round_no": round_no, "previous_link": link}
        return self.run()

    def _begin(self, manifest: Body) -> Effects:
        server = Server(AGGREGATOR, identity(AGGREGATOR), self.roster, manifest)
        self.parties[AGGREGATOR] = Party(server)
        return self.step(AGGREGATOR, "opened", {})

    def open(self, manifest: Body) -> None:
        """Open a session and carry messages until it is over."""
        effects = self._begin(manifest)
        while "send" in effects and "completed" not in effects:
            effects = self._round(effects)
            if "open_sum" in effects:
                given = {"result": self._result(effects["open_sum"])}
                effects = self.step(AGGREGATOR, "sum_opened", given)
        if "aborted" in effects:
            data = self._abort_envelope(effects["aborted"])
            effects = {"send": [(v, data) for v in effects["aborted"]["to"]]}
        for v, data in effects["send"]:
            if self.silent.get(v, NEVER) == NEVER:
                self.step(v, "received", {"peer": AGGREGATOR, "envelope": data})

    def _abort_envelope(self, aborted: Body) -> bytes:
        """An Abort with some text; its text is free."""
        detail = "the session ends"
        missing = aborted["missing"]
        body = {"rule": aborted["code"], "detail": detail, "missing": missing}
        return self.server.seal_message("Abort", "", body)

    def _round(self, effects: Effects) -> Effects:
        """Deliver what S sent, carry the answers back, close at the deadline."""
        phase = self.server.phase
        answers = [
            answer
            for v, data in effects["send"]
            if self.silent.get(v, NEVER) > phase
            for answer in self._deliver(v, data)
        ]
        outcome: Effects = {}
        for v, data in answers:
            sent = self.corrupt[v](self, v, data) if v in self.corrupt else data
            given = {"peer": v, "envelope": sent}
            outcome = self.step(AGGREGATOR, "received", given) or outcome
        if self.server.phase == phase:
            given = {"round": PHASES[phase]}
            outcome = self.step(AGGREGATOR, "deadline_passed", given)
        return outcome

    def _deliver(self, v: str, data: bytes) -> list[tuple[str, bytes]]:
        """Hand a message to a client; return what it answers."""
        given = {"peer": AGGREGATOR, "envelope": data}
        effects = self.step(v, "received", given)
        if "mask_vector" in effects and v not in self.late:
            packed = self._masked(v, effects["mask_vector"])
            root = plane.root_of(self.server.sid, packed)
            self.step(AGGREGATOR, "vector_stored", {"peer": v, "root": root})
            effects = self.step(v, "vector_masked", {"root": root})
        return [(v, answer) for _, answer in effects.get("send", [])]

    # --- the vectors -------------------------------------------------------

    def update_of(self, v: str) -> list[float]:
        """A made-up update: multiples of 2^-20 within about +-1."""
        m = self.server.manifest["m"]
        raw = hashlib.shake_256(f"{self.name}/{v}/update".encode()).digest(4 * m)
        return [(x % 2**21 - 2**20) / 2**20 for (x,) in struct.iter_unpack("<I", raw)]

    def _masked(self, v: str, masks: list[tuple[bytes, int, int]]) -> list[bytes]:
        """Quantize, mask and pack; y_u's chunks."""
        params, sid = self.server.params, self.server.sid
        place = self.members.index(v)
        weight = 1 if params.weighting == "uniform" else 10 + 7 * place
        names = {name: low for name, low, _ in self.server.manifest["extras"]}
        extras = {name: low + 3 * place for name, low in names.items()}
        seed = self.parties[v].machine.entropy.draw("round")
        key = quantize.rounding_key(seed, sid)
        update = self.update_of(v)
        made = quantize.contribution(update, weight, extras, key, params)
        y_u = [x % params.p for x in made.x_u]
        for mask, tag, sign in masks:
            words = stream(mask, tag, params.w, params.length)
            y_u = [(y + sign * e) % params.p for y, e in zip(y_u, words, strict=True)]
        packed = plane.chunks(y_u, params.w, params.chunk_log2)
        self.parties[v].given = {
            "update": b"".join(map(real, update)),
            "weight": weight,
            "extras": extras,
            "saturated": made.saturated,
            "x_u": made.x_u,
            "y_u": packed,
            "elements": y_u,
        }
        return packed

    def _result(self, opening: Body) -> bytes:
        """Open the sum, and say what came out (spec 4.8)."""
        params, silos = self.server.params, len(opening["u3"])
        opened = quantize.opened(self._unmasked(opening), params.p)
        released, noise = self._noised(opened)
        sums = quantize.extra_sums(released, silos, params)
        vector, width = plane.released_vector(released[: params.coordinates])
        self.result = {
            "sum": opened,
            **({"noise": noise} if noise else {}),
            "extras": [list(pair) for pair in sums],
            "mean": quantize.mean(released, sums, silos, params),
            "vector": vector,
        }
        stated = [hashlib.sha256(vector).digest(), len(vector), width]
        if self.discard:
            stated = [None, None, None]
        names = ("vector_hash", "vector_size", "vector_width")
        body = {
            "status": "discarded" if self.discard else "released",
            "u3": opening["u3"],
            "checks": [["bounds", int(not self.discard), "coordinates and norm"]],
            "dp": None if self.discard else noise_record(self.server.manifest, params),
            "extras": [] if self.discard else self.result["extras"],
            **dict(zip(names, stated, strict=True)),
            "next_model_hash": None,
            "epsilon": real(1.25) if noise else None,
        }
        return encode_body("Result", body)

    def _unmasked(self, opening: Body) -> list[int]:
        """The sum of y_u over U3 with the masks taken off, not yet centred."""
        params = self.server.params
        total = [0] * params.length
        for v in opening["u3"]:
            y_u = self.parties[v].given["elements"]
            total = [a + b for a, b in zip(total, y_u, strict=True)]
        for mask, tag, sign in opening["seeds"]:
            words = stream(mask, tag, params.w, params.length)
            total = [a + sign * e for a, e in zip(total, words, strict=True)]
        return total

    def _noised(self, opened: list[int]) -> tuple[list[int], list[int]]:
        """With dp the sum and some integers as its noise; how it is drawn is free."""
        if self.server.manifest["dp"] is None:
            return opened, []
        raw = hashlib.shake_256(f"{self.name}/noise".encode()).digest(4 * len(opened))
        noise = [x % 2**17 - 2**16 for (x,) in struct.iter_unpack("<I", raw)]
        return [x + e for x, e in zip(opened, noise, strict=True)], noise
