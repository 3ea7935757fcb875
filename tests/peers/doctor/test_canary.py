"""peers.doctor.canary: a session of made-up members, with an exact sum."""

import asyncio
from dataclasses import replace

import pytest

from peers.doctor import canary
from peers.doctor.findings import Level, Report
from secagg.entropy import SeededEntropy
from secagg.identity import Identity
from secagg.names import PeerId
from secagg.roster import AGGREGATOR, HOSPITAL
from tests.peers.doctor.sites import (
    found,
)


@pytest.mark.parametrize(("ours", "role"), [("bern", HOSPITAL), ("agg", AGGREGATOR)])
async def test_a_canary_session_ends_in_the_exact_sum(consortium, ours, role) -> None:
    identity = Identity.load(consortium.folder / f"{ours}.identity.json")
    before = sorted(consortium.folder.rglob("*"))
    report = Report()
    await canary.check_canary(report, identity, role, entropy=SeededEntropy(b"canary"))
    level, said = found(report, "canary")
    assert level is Level.OK, said
    assert "with the real members was not tried" in said
    assert sorted(consortium.folder.rglob("*")) == before


def test_a_cohort_has_ours_in_its_role_and_everybody_once() -> None:
    ours = Identity.generate(PeerId("canary-1"), SeededEntropy(b"ours"))
    for role in (HOSPITAL, AGGREGATOR):
        cohort = canary.Cohort.around(ours, role, SeededEntropy(b"cohort"))
        assert len(cohort.silos) == canary.MEMBERS
        assert cohort.roster.member("canary-1").role == role
        assert cohort.roster.member("canary-1").key == ours.key.public


async def test_a_sum_that_is_off_by_one_fails() -> None:
    ours = Identity.generate(PeerId("bern"), SeededEntropy(b"bern"))
    entropy = SeededEntropy(b"canary")
    cohort = canary.Cohort.around(ours, HOSPITAL, entropy)
    given = {peer: canary.Canary.drawn(entropy) for peer in cohort.silos}
    outcome = await canary._session(cohort, given, "auto")
    good = given[ours.id]
    bad = {
        "word": replace(
            good, words={**good.words, "canary_0": good.words["canary_0"] ^ 1}
        ),
        "update": replace(good, update=good.update + 0.1),
    }
    for other in bad.values():
        report = Report()
        canary._compare(report, outcome, {**given, ours.id: other})
        assert found(report, "canary")[0] is Level.FAILED


async def test_a_session_that_takes_too_long_fails(monkeypatch) -> None:
    async def stuck(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(canary, "_session", stuck)
    monkeypatch.setattr(canary, "SECONDS", 0)
    ours = Identity.generate(PeerId("bern"), SeededEntropy(b"bern"))
    report = Report()
    await canary.check_canary(report, ours, HOSPITAL, entropy=SeededEntropy(b""))
    assert found(report, "canary")[0] is Level.FAILED
