"""The judge: whether a world of chaos kept every promise, from what its parties wrote.

A session ends in the exact sum over its U3, the same for everybody, or is aborted since
too few answered; nothing that was said to be done is forgotten; all parties tell one
story; and I1 to I8 hold for each hospital over all of its lives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from secagg import events
from secagg.crypto.transcript import LINK_START
from secagg.drivers.silo.store import SqliteStore
from tests import invariants
from tests.chaos.hospital import SECRETS
from tests.chaos.story import Story
from tests.chaos.terms import CORRUPTION_BOUND, STEP, Terms
from tests.chaos.testimony import Aggregator, Hospital, aggregator_of, hospital_of

TOO_FEW = {
    "4.2-4": "AdvertiseKeys",
    "4.3-7": "ShareKeys",
    "4.4-3": "ShareAck",
    "4.5-5": "MaskedInput",
    "4.6-4": "Consistency",
    "4.7-3": "Unmasking",
}
"""The rules by which an abort is clean, and what fewer than q members had sent then."""


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

    @property
    def story(self) -> Story:
        """What they said to each other."""
        return Story(self.aggregator, self.hospitals)

    def check(self) -> None:
        """Check everything.

        Raises:
            AssertionError: the first promise that was broken.
        """
        self._check_ends()
        self._check_aborts()
        self._check_sums()
        self._check_means()
        self.story.check()
        for hospital in self.hospitals:
            self._check_marks(hospital)
            self._check_draws(hospital)
        self.check_invariants()

    def check_invariants(self) -> None:
        """Check I1 to I8.

        Raises:
            AssertionError: the first that was broken.
        """
        roster = self.terms.consortium.roster
        invariants.check_all(self.hospitals, roster, CORRUPTION_BOUND)

    def _check_ends(self) -> None:
        """Every session has an end, and one only."""
        completed, aborted = set(self.aggregator.outcomes), set(self.aggregator.aborted)
        assert not completed & aborted, "a session both completed and aborted"
        open_ = set(self.aggregator.began) - completed - aborted
        assert not open_, f"sessions without an end: {[sid.hex() for sid in open_]}"
        rounds = [outcome["round_no"] for outcome in self.aggregator.chain]
        assert len(set(rounds)) == len(rounds), "two Results in one round"

    def _check_aborts(self) -> None:
        """Whoever is missing when a session is aborted is, and too few are not."""
        quorum = (self.terms.hospitals + CORRUPTION_BOUND) // 2 + 1
        for sid, ends in self.aggregator.aborted.items():
            assert len(ends) == 1, f"{sid.hex()}: aborted in two ways"
            [end] = ends
            assert end.code in TOO_FEW, f"{sid.hex()}: aborted by rule {end.code}"
            answered = self.story.accepted(sid, TOO_FEW[end.code])
            assert len(answered) < quorum, f"{sid.hex()}: enough had answered"
            assert not answered & set(end.missing), f"{sid.hex()}: none was missing"

    def _check_sums(self) -> None:
        """Every sum is that of U3, to the last integer, in every life."""
        for sid, accounts in self.aggregator.outcomes.items():
            first = accounts[0]
            assert all(one == first for one in accounts), f"{sid.hex()}: two outcomes"
            total = self.terms.sum(first["u3"], first["round_no"])
            assert first["sum"] == total.tolist(), f"{sid.hex()}: another sum"
            mean = total * STEP / len(first["u3"])
            digest = hashlib.sha256(mean.tobytes()).digest()
            assert first["mean"] == digest, f"{sid.hex()}: not the mean of its sum"

    def _check_means(self) -> None:
        """Everybody has the mean of the same U3, and is in it or knows it is not."""
        for hospital in self.hospitals:
            for sid, included, u3, digest in hospital.means:
                assert sid in self.aggregator.outcomes, f"{hospital.id}: a mean of none"
                outcome = self.aggregator.outcomes[sid][0]
                assert u3 == outcome["u3"], f"{hospital.id}: another U3"
                assert digest == outcome["mean"], f"{hospital.id}: another mean"
                assert included == (hospital.id in u3), (
                    f"{hospital.id}: not so included"
                )

    def _check_marks(self, hospital: Hospital) -> None:
        """No head or receipt that was made durable is lost, and none is of a fork."""
        place = {outcome["link"]: i for i, outcome in enumerate(self.aggregator.chain)}
        place[LINK_START] = -1
        with SqliteStore(self.terms.state(hospital.id)) as store:
            head = store.head(self.terms.name)
            receipts = {r.sid: r for r in store.receipts(self.terms.name)}
        marks = [e for e in hospital.effects if isinstance(e, events.PersistHead)]
        heads = [*(mark.head for mark in marks), head]
        assert set(heads) <= set(place), f"{hospital.id}: a link of another chain"
        seen = [place[link] for link in heads]
        assert seen == sorted(seen), f"{hospital.id}: its chain went back"
        for sid, receipt in receipts.items():
            u3s = [one["u3"] for one in self.aggregator.outcomes.get(sid, [])[:1]]
            assert u3s == [receipt.u3], f"{hospital.id}: a receipt of another U3"
        sids = {outcome["link"]: outcome["sid"] for outcome in self.aggregator.chain}
        lost = {sids[mark.head] for mark in marks} - set(receipts)
        assert not lost, f"{hospital.id}: a lost receipt"

    def _check_draws(self, hospital: Hospital) -> None:
        """Of each session that it advertised keys in, its secrets are known here."""
        began = {e.sid for e in hospital.sent if e.type == "AdvertiseKeys"}
        for label in SECRETS:
            drawn = len(set(hospital.drawn[label]))
            assert drawn >= len(began), f"{hospital.id}: {label} unknown, or used twice"
