"""The judge: whether a world of chaos kept every promise, from what its parties wrote.

A session ends in the exact sum over its U3, the same for everybody, or is aborted;
nothing that was said to be done is forgotten; I1 to I8 hold for each hospital over all
of its lives; and no two hospitals are told different lists.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from secagg import events
from secagg.crypto.transcript import LINK_START
from secagg.drivers.silo.store import SqliteStore
from tests import invariants
from tests.chaos.terms import CORRUPTION_BOUND, Terms
from tests.chaos.testimony import (
    Aggregator,
    Hospital,
    aggregator_of,
    heard,
    hospital_of,
)

LISTS = frozenset(
    {"Manifest", "KeyList", "DealerList", "InputList", "Certificate", "Result"}
)
"""What is the same for every hospital of a session."""


@dataclass
class Judge:
    """One world, to be judged by what its parties testify."""

    terms: Terms
    aggregator: Aggregator
    hospitals: Sequence[Hospital]

    @classmethod
    def of(cls, terms: Terms) -> Self:
        """Read what they wrote."""
        hospitals = [hospital_of(terms, peer) for peer in terms.peers]
        return cls(terms, aggregator_of(terms), hospitals)

    def check(self) -> None:
        """Check everything.

        Raises:
            AssertionError: the first promise that was broken.
        """
        self._check_ends()
        self._check_sums()
        self._check_means()
        self._check_chain()
        self._check_one_story()
        self._check_journal()
        roster = self.terms.consortium.roster
        invariants.check_all(self.hospitals, roster, CORRUPTION_BOUND)

    def _check_ends(self) -> None:
        """Every session has an end, and one only."""
        completed, aborted = set(self.aggregator.outcomes), set(self.aggregator.aborted)
        assert not completed & aborted, "a session both completed and aborted"
        open_ = set(self.aggregator.began) - completed - aborted
        assert not open_, f"sessions without an end: {[sid.hex() for sid in open_]}"

    def _check_sums(self) -> None:
        """Every sum is that of U3, to the last integer, in every life."""
        for sid, accounts in self.aggregator.outcomes.items():
            first = accounts[0]
            assert all(one == first for one in accounts), f"{sid.hex()}: two outcomes"
            expected = self.terms.sum(first["u3"], first["round_no"]).tolist()
            assert first["sum"] == expected, f"{sid.hex()}: another sum"

    def _check_means(self) -> None:
        """Everybody has the mean of the same U3, and is in it or knows it is not."""
        for hospital in self.hospitals:
            for sid, included, u3, digest in hospital.means:
                outcome = self.aggregator.outcomes[bytes(sid)][0]
                assert u3 == outcome["u3"], f"{hospital.id}: another U3"
                assert digest == outcome["mean"], f"{hospital.id}: another mean"
                assert included == (hospital.id in u3)

    def _check_chain(self) -> None:
        """No head or receipt that was made durable is lost, and none is of a fork."""
        order = sorted(
            (one[0] for one in self.aggregator.outcomes.values()),
            key=lambda outcome: int(outcome["round_no"]),
        )
        place = {outcome["link"]: i for i, outcome in enumerate(order)}
        place[LINK_START] = -1
        rounds = [outcome["round_no"] for outcome in order]
        assert len(set(rounds)) == len(rounds), "two Results in one round"
        for hospital in self.hospitals:
            with SqliteStore(self.terms.state(hospital.id)) as store:
                head = store.head(self.terms.name)
                receipts = {r.sid: r for r in store.receipts(self.terms.name)}
            sids = {o["link"]: o["sid"] for o in order}
            marks = [e for e in hospital.effects if isinstance(e, events.PersistHead)]
            seen = [place[mark.head] for mark in marks]
            assert seen == sorted(seen), f"{hospital.id}: its chain went back"
            assert place[head] >= max(seen, default=-1), (
                f"{hospital.id}: it forgot a link"
            )
            for sid, receipt in receipts.items():
                assert receipt.u3 == self.aggregator.outcomes[sid][0]["u3"]
            for mark in marks:
                assert sids[mark.head] in receipts, f"{hospital.id}: a lost receipt"

    def _check_one_story(self) -> None:
        """All hospitals of a session are told the same lists, whoever restarted."""
        told: dict[tuple[bytes, str], set[bytes]] = collections.defaultdict(set)
        for hospital in self.hospitals:
            for envelope in heard(hospital):
                if envelope.type in LISTS:
                    told[envelope.sid, envelope.type].add(envelope.body)
        for (sid, type_), bodies in told.items():
            assert len(bodies) == 1, f"{sid.hex()}: {len(bodies)} of {type_}"

    def _check_journal(self) -> None:
        """What was accepted was said: one of each type by each member."""
        said = {
            (bytes(envelope.sid), str(hospital.id), envelope.type): envelope.body
            + envelope.signature
            for hospital in self.hospitals
            for envelope in hospital.sent
            if envelope.type != "Refusal"
        }
        for (sid, peer, type_), bodies in self.aggregator.accepted.items():
            if type_ == "Refusal":
                continue
            assert len(bodies) == 1, f"{sid.hex()}: two {type_} of {peer}"
            known = said.get((sid, peer, type_))
            assert bodies == {known}, f"{sid.hex()}: a {type_} {peer} never sent"
