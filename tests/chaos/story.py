"""What the parties of a world said to each other: one story, with nobody left out.

No two hospitals are told different lists; what the aggregator accepted was said, and is
in its lists and in its sums, whoever died in between; and each Result is a link of one
chain, computed here from what the hospitals were told.
"""

from __future__ import annotations

import collections
import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from secagg import messages
from secagg.crypto.transcript import LINK_START
from secagg.messages import Envelope, Message
from secagg.names import PeerId
from tests.chaos.testimony import VECTOR, Aggregator, Hospital, heard
from tests.invariants import digest
from tests.recording import body_of

LISTS = frozenset(
    {"Manifest", "KeyList", "DealerList", "InputList", "Certificate", "Result"}
)
"""What is the same for every hospital of a session."""

OWN = "DealtShares"
"""What is each hospital's own, and the same however often it comes."""

STOPPED = "0-1"
"""Why a hospital refuses when it is stopped, as it is at the end of a run."""


@dataclass
class Story:
    """What was said in one world."""

    aggregator: Aggregator
    hospitals: Sequence[Hospital]

    def check(self) -> None:
        """Check everything.

        Raises:
            AssertionError: what does not fit.
        """
        self._check_told()
        self._check_accepted()
        self._check_lists()
        self._check_chain()
        self._check_blame()

    def accepted(self, sid: bytes, type_: str) -> set[PeerId]:
        """Whose message of a type is in the journal; of inputs, with all chunks."""
        found = self.aggregator.accepted
        peers = {peer for of, peer, kind in found if (of, kind) == (sid, type_)}
        whole = type_ != "MaskedInput"
        return peers if whole else peers & self.accepted(sid, VECTOR)

    @functools.cached_property
    def _told(self) -> dict[tuple[bytes, str, PeerId], set[Envelope]]:
        """What came to hospitals: by session and type, and whose if it is its own."""
        told: dict[tuple[bytes, str, PeerId], set[Envelope]]
        told = collections.defaultdict(set)
        for hospital in self.hospitals:
            for envelope in heard(hospital):
                if envelope.type in LISTS:
                    told[envelope.sid, envelope.type, messages.EVERYONE].add(envelope)
                elif envelope.type == OWN:
                    told[envelope.sid, envelope.type, hospital.id].add(envelope)
        return told

    def _check_told(self) -> None:
        """All hospitals of a session are told the same lists, whoever restarted."""
        for (sid, type_, _), envelopes in self._told.items():
            assert sid in self.aggregator.began, f"{sid.hex()}: {type_} of no session"
            assert len(envelopes) == 1, f"{sid.hex()}: {len(envelopes)} of {type_}"

    def _check_accepted(self) -> None:
        """What was accepted was said: one of each type by each member."""
        said = {
            (bytes(envelope.sid), hospital.id, envelope.type): envelope.body
            + envelope.signature
            for hospital in self.hospitals
            for envelope in hospital.sent
        }
        for (sid, peer, type_), bodies in self.aggregator.accepted.items():
            if type_ == "Refusal":
                continue
            assert len(bodies) == 1, f"{sid.hex()}: two {type_} of {peer}"
            known = said.get((sid, peer, type_))
            stored = type_ == VECTOR
            assert stored or bodies == {known}, (
                f"{sid.hex()}: {peer} never sent {type_}"
            )

    def _check_lists(self) -> None:
        """Whoever was accepted is in the list that is made of it, and nobody else."""
        for (sid, type_, _), envelopes in self._told.items():
            for source, listed in _listed(body_of(next(iter(envelopes)))):
                accepted = self.accepted(sid, source)
                assert listed == accepted, f"{sid.hex()}: another {type_} than accepted"
        for sid, accounts in self.aggregator.outcomes.items():
            inputs = self.accepted(sid, "MaskedInput")
            assert set(accounts[0]["u3"]) == inputs, f"{sid.hex()}: a sum of others"

    def _check_chain(self) -> None:
        """Each Result is a link on the one before it; none is lost, and none forked."""
        head = LINK_START
        for outcome in self.aggregator.chain:
            sid = outcome["sid"]
            link = self._link(head, sid)
            # All may be cut off just then, and learn of it from the next link alone.
            assert link in (None, outcome["link"]), f"{sid.hex()}: a link of no chain"
            head = outcome["link"]

    def _link(self, head: bytes, sid: bytes) -> bytes | None:
        """Spec 4.8, from what hospitals were told; None if none was told the Result."""
        types = ("KeyList", "DealerList", "InputList", "Result")
        told = [self._told.get((sid, type_, messages.EVERYONE)) for type_ in types]
        *lists, result = [next(iter(one)).body if one else None for one in told]
        if result is None:
            return None
        h = sid
        for number, body in enumerate(lists, start=1):
            assert body is not None, (
                f"{sid.hex()}: a Result, and no {types[number - 1]}"
            )
            h = digest(f"secagg/1/h{number}", h, body)
        return digest("secagg/1/link", head, sid, h, hashlib.sha256(result).digest())

    def _check_blame(self) -> None:
        """All are honest: nobody refuses a list, and nobody is put out of a session."""
        dropped = self.aggregator.dropped
        assert not dropped, f"an honest member was dropped: {dropped[0]}"
        for hospital in self.hospitals:
            for envelope in hospital.sent:
                said = body_of(envelope) if envelope.type == "Refusal" else None
                refused = isinstance(said, messages.Refusal) and said.rule != STOPPED
                assert not refused, f"{hospital.id} refused: {said}"


def _listed(body: Message) -> Iterator[tuple[str, set[PeerId]]]:
    """Yield of which messages a list is made, and of whose."""
    match body:
        case messages.KeyList(entries=keys):
            yield "AdvertiseKeys", {entry.peer for entry in keys}
        case messages.DealerList(dealers=dealers):
            yield "ShareKeys", set(dealers)
        case messages.InputList(entries=inputs):
            yield "MaskedInput", {entry.peer for entry in inputs}
        case _:
            pass
