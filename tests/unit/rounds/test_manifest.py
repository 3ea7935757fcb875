"""secagg.rounds.manifest: what a client checks before it joins (4.1)."""

from dataclasses import replace

import pytest

from secagg.messages import Member, Ready
from secagg.names import PeerId
from secagg.policy import Policy
from secagg.rounds.manifest import Standing, check_members, client_join
from tests.helpers import AGGREGATOR, refused_rule, scene, silo
from tests.samples import blob

WORLD = scene(5)
ROSTER = WORLD.consortium.roster
MANIFEST = replace(WORLD.manifest(round_no=3, attempt=2), previous_link=blob(7))
ME = silo(2)
READY = replace(WORLD.clients[ME].ready, round_no=3)
STANDING = Standing(
    me=ME,
    roster=ROSTER,
    policy=Policy(),
    last_joined=(3, 1),
    head=blob(7),
    spent=False,
)


def join(manifest=MANIFEST, *, sender=AGGREGATOR, ready=READY, **standing):
    return client_join(
        manifest, sender=sender, ready=ready, standing=replace(STANDING, **standing)
    )


def without(*peers):
    kept = tuple(m for m in MANIFEST.members if m.peer not in peers)
    return replace(MANIFEST, members=kept)


def swapped(members, i, j):
    rows = list(members)
    rows[i], rows[j] = rows[j], rows[i]
    return tuple(rows)


def test_a_sound_manifest_gives_the_parameters_of_its_members() -> None:
    params = join()
    assert params.members == tuple(sorted(WORLD.clients))
    assert (params.n, params.c) == (5, 1)


@pytest.mark.parametrize(
    "members",
    [
        swapped(MANIFEST.members, 0, 1),
        (*MANIFEST.members, MANIFEST.members[-1]),
        (*MANIFEST.members, Member(peer=PeerId("stranger"), ready_nonce=blob(1))),
        (Member(peer=AGGREGATOR, ready_nonce=blob(1)), *MANIFEST.members),
    ],
    ids=["unsorted", "twice", "stranger", "aggregator"],
)
def test_4_1_1_refuses_members_that_are_not_distinct_sorted_hospitals(members) -> None:
    assert refused_rule(join, replace(MANIFEST, members=members)) == "4.1-1"


@pytest.mark.parametrize("other", [silo(1), PeerId("stranger")])
def test_4_1_1_refuses_an_aggregator_that_is_none(other) -> None:
    bent = replace(MANIFEST, aggregator=other)
    assert refused_rule(join, bent) == "4.1-1"
    assert refused_rule(join, bent, sender=other) == "4.1-1"
    assert refused_rule(join, sender=other) == "4.1-1"


def test_4_1_2_refuses_another_roster_and_says_how_to_compare() -> None:
    assert refused_rule(join, replace(MANIFEST, roster_hash=blob(1))) == "4.1-2"


def test_4_1_3_refuses_a_manifest_without_this_client_or_with_another_nonce() -> None:
    assert refused_rule(join, without(ME)) == "4.1-3"
    other = replace(READY, ready_nonce=blob(9))
    assert refused_rule(join, ready=other) == "4.1-3"


def test_4_1_3_refuses_the_nonce_of_another_member() -> None:
    theirs = replace(READY, ready_nonce=WORLD.clients[silo(1)].ready.ready_nonce)
    assert refused_rule(join, ready=theirs) == "4.1-3"


@pytest.mark.parametrize(
    "other", [{"task_id": "other"}, {"round_no": 4}, {"model_hash": blob(4)}]
)
def test_4_1_4_refuses_another_task_round_or_model(other) -> None:
    assert refused_rule(join, replace(MANIFEST, **other)) == "4.1-4"


def test_4_1_5_refuses_what_the_policy_does_not_allow() -> None:
    assert refused_rule(join, policy=Policy(min_members=6)) == "4.1-5"


@pytest.mark.parametrize("last", [(3, 2), (3, 3), (4, 1), (9, 0)])
def test_4_1_6_refuses_a_pair_not_above_the_last_one_joined(last) -> None:
    assert refused_rule(join, last_joined=last) == "4.1-6"


@pytest.mark.parametrize("last", [(0, 0), (2, 3), (3, 1), (2, 99)])
def test_4_1_6_allows_a_pair_above_it(last) -> None:
    assert join(last_joined=last).n == 5


@pytest.mark.parametrize(("attempt", "fine"), [(0, 0), (1, 1), (2, 1), (3, 1), (4, 0)])
def test_4_1_6_allows_attempts_1_to_3(attempt, fine) -> None:
    bent = replace(MANIFEST, attempt=attempt)
    if fine:
        assert join(bent, last_joined=(2, 3)).n == 5
    else:
        assert refused_rule(join, bent, last_joined=(2, 3)) == "4.1-6"


def test_4_1_7_refuses_a_link_that_is_not_this_clients_head() -> None:
    assert refused_rule(join, head=bytes(32)) == "4.1-7"


def test_4_1_8_refuses_an_attempt_of_a_round_whose_update_is_spent() -> None:
    assert refused_rule(join, spent=True) == "4.1-8"


def test_the_ranges_of_2_2_are_checked_too() -> None:
    assert refused_rule(join, replace(MANIFEST, length=0)) == "2.2-2"
    three = {silo(4), silo(5)}
    assert refused_rule(join, without(*three)) == "2.2-1"


def test_ready_is_compared_as_it_was_said() -> None:
    said = Ready(
        task_id="task", round_no=3, model_hash=bytes(32), ready_nonce=READY.ready_nonce
    )
    assert join(ready=said).n == 5


def test_check_members_alone_passes_a_sound_manifest() -> None:
    check_members(MANIFEST, sender=AGGREGATOR, roster=ROSTER)
