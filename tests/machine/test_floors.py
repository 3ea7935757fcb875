"""A hospital's policy is law: no field of a Manifest goes below a floor (4.1-5).

The hospital's floors are exactly the terms of an honest Manifest. Then every field is
lowered, one at a time, on a Manifest that the aggregator signs; the machine of the
hospital refuses each, says the rule with both values, and is otherwise as before.
"""

from dataclasses import fields, replace

import pytest

from secagg import codec, events
from secagg import messages as msg
from secagg.consortium import NO_MODEL
from secagg.crypto import transcript
from secagg.messages import Manifest, NoiseTerms
from secagg.names import Round
from secagg.policy import Policy
from secagg.signing import open_envelope, seal
from tests.helpers import (
    AGGREGATOR,
    assert_aborted,
    assert_exact,
    scene,
    silo,
    silos,
)
from tests.invariants import check_all
from tests.rules_off import switched_off
from tests.samples import blob

ME = silo(2)
N, C, M, Z = 13, 1, 3, 2.0
MODEL = blob(5)
NOISE = NoiseTerms(
    mechanism="discrete-gaussian", noise_multiplier=Z, adjacency="zero-out", delta=1e-5
)
STRICT = Policy(
    tasks=frozenset({"task"}),
    min_members=N,
    corruption_bound=C,
    min_inputs=8,
    max_clip=1.0,
    min_bits=16,
    min_range=1.0,
    max_ranges=1,
    rotation=False,
    weightings=frozenset({"uniform"}),
    max_weight=1,
    min_noise_multiplier=Z,
    max_epsilon=3.0,
    max_attempts=1,
    models=frozenset({MODEL}),
    max_length=M,
)
SPARSE = replace(STRICT, smallest_sparse=13, min_inputs=11)

Lowered = tuple[Policy, dict[str, object], str, str]
"""The policy, the fields that are changed, and both values."""

BELOW: dict[str, list[Lowered]] = {
    "task_id": [
        (STRICT, {"task_id": "other"}, "task other", "not among the 1 of tasks")
    ],
    "attempt": [(STRICT, {"attempt": 2}, "attempt 2", "max_attempts 1")],
    "members": [(STRICT, {"members": 12}, "n = 12", "min_members 13")],
    "corruption_bound": [
        (STRICT, {"corruption_bound": 0}, "c = 0", "corruption_bound 1"),
        (
            replace(STRICT, min_inputs=9),
            {"corruption_bound": 1},
            "|U3| may be 8",
            "min_inputs 9",
        ),
    ],
    "length": [(STRICT, {"length": 4, "ranges": ((4, 1.0),)}, "m = 4", "max_length 3")],
    "bits": [(STRICT, {"bits": 15}, "bits 15", "min_bits 16")],
    "clip": [(STRICT, {"clip": 1.5}, "clip 1.5", "max_clip 1.0")],
    "ranges": [
        (STRICT, {"ranges": ((3, 0.5),)}, "0.5", "min_range 1.0"),
        (STRICT, {"ranges": ((1, 1.0), (2, 1.0))}, "2 ranges", "max_ranges 1"),
    ],
    "weighting": [(STRICT, {"weighting": "weighted"}, "weighted", "weightings")],
    "max_weight": [
        (
            replace(STRICT, weightings=frozenset({"weighted"})),
            {"weighting": "weighted", "max_weight": 2},
            "w_max 2",
            "1",
        )
    ],
    "rotation": [(STRICT, {"rotation": blob(3)}, "a rotation", "not allowed")],
    "graph": [
        (STRICT, {"graph": "regular", "losses": 2}, "n = 13", "smallest_sparse 151"),
        (
            replace(SPARSE, sparse_corrupt_percent=8),
            {"graph": "regular", "losses": 2},
            "c = 1 of n = 13",
            "sparse_corrupt_percent 8",
        ),
    ],
    "losses": [
        (
            replace(SPARSE, sparse_corrupt_percent=0, min_inputs=12),
            {"graph": "regular", "losses": 2},
            "|U3| may be 11",
            "min_inputs 12",
        )
    ],
    "dp": [
        (STRICT, {"dp": None}, "noise multiplier 0.0", "min_noise_multiplier 2.0"),
        (
            STRICT,
            {"dp": replace(NOISE, noise_multiplier=1.9)},
            "noise multiplier 1.9",
            "min_noise_multiplier 2.0",
        ),
        (
            replace(STRICT, min_noise_multiplier=0.0),
            {"dp": replace(NOISE, noise_multiplier=0.5)},
            "epsilon to 1",
            "max_epsilon 3",
        ),
        (
            replace(STRICT, min_noise_multiplier=0.0),
            {"dp": None},
            "epsilon to inf",
            "max_epsilon 3",
        ),
    ],
    "model_hash": [(STRICT, {"model_hash": blob(6)}, blob(6).hex()[:16], "models")],
}
"""By field: what is lowered, and the two values that the refusal must name."""

ELSEWHERE = {
    "round_no": "4.1-4, 4.1-6",
    "aggregator": "4.1-1",
    "roster_hash": "4.1-2",
    "extras": "5-2: the hospital gives each by its name, or nothing",
    "keystream": "2.2-7",
    "chunk_log2": "2.2-2; how a vector is cut",
    "previous_link": "4.1-7",
    "durations": "2.2-9; how long to wait",
}
"""Fields that no floor is about, and what they are held by."""

CASES = [
    pytest.param(*case, id=f"{name}-{place}")
    for name, cases in BELOW.items()
    for place, case in enumerate(cases)
]


def world(policy=STRICT, **said):
    """Thirteen hospitals with these floors, ready for what `said` tells them."""
    one = scene(N, C, M, policy=policy, dp=NOISE)
    ready = {"task_id": "task", "round_no": 1, "model_hash": MODEL, **said}
    for client in one.clients.values():
        client.handle(events.InputReady(**ready))
    return one


def asked(one, **changes):
    manifest = one.manifest(**{"model_hash": MODEL, **changes})
    count = changes.get("members")
    if count is None:
        return manifest
    return replace(manifest, members=one.manifest().members[:count])


def tell(one, manifest):
    """Let the hospital take the Manifest, signed by the aggregator; the effects."""
    sid = transcript.session_id(codec.encode_body(manifest))
    envelope = seal(
        manifest, identity=one.consortium.aggregator, receiver=ME, sid=sid, h=sid
    )
    received = events.Received(peer=AGGREGATOR, envelope=envelope)
    return one.clients[ME].handle(received), sid


def refusal(one, effects, sid) -> msg.Refusal:
    """The one thing that the hospital says."""
    [sent] = [e for e in effects if isinstance(e, events.Send)]
    public = one.consortium.roster.member(ME).key
    said = open_envelope(sent.envelope, public=public, h=sid, members=N)
    assert isinstance(said, msg.Refusal)
    return said


def test_every_field_of_the_manifest_is_below_a_floor_here_or_held_elsewhere() -> None:
    assert set(BELOW) | set(ELSEWHERE) == {field.name for field in fields(Manifest)}
    assert not set(BELOW) & set(ELSEWHERE)


def test_the_honest_manifest_is_exactly_at_the_floors() -> None:
    one = world()
    effects, _ = tell(one, asked(one))
    assert isinstance(effects[0], events.PersistJoined)


@pytest.mark.parametrize(("policy", "changes", "theirs", "ours"), CASES)
def test_a_field_below_its_floor_is_refused_with_both_values(
    policy, changes, theirs, ours
) -> None:
    said = {k: v for k, v in changes.items() if k in {"task_id", "model_hash"}}
    one = world(policy, **said)
    before = one.clients[ME].phase
    effects, sid = tell(one, asked(one, **changes))
    told = refusal(one, effects, sid)
    assert told.rule == "4.1-5"
    assert theirs in told.detail
    assert ours in told.detail
    # The hospital's own log has the same; nothing is marked, and nothing else sent.
    assert [type(e) for e in effects] == [events.Send, events.Aborted]
    assert (effects[1].code, effects[1].detail) == (told.rule, told.detail)
    assert (one.clients[ME].phase, one.clients[ME].sid) == (before, None)


SAME_READY = [
    pytest.param(changes, theirs, id=f"{name}-{place}")
    for name, cases in BELOW.items()
    for place, (policy, changes, theirs, _) in enumerate(cases)
    if policy is STRICT and name not in {"task_id", "model_hash"}
]


@pytest.mark.parametrize(("changes", "theirs"), SAME_READY)
def test_beside_a_session_it_is_refused_as_well_and_the_session_goes_on(
    changes, theirs
) -> None:
    one = world()
    _, sid = tell(one, asked(one))
    effects, other = tell(one, asked(one, **changes))
    told = refusal(one, effects, other)
    assert told.rule == "4.1-5"
    [ignored] = [e for e in effects if not isinstance(e, events.Send)]
    assert isinstance(ignored, events.Ignored)
    assert (ignored.rule, ignored.detail) == (told.rule, told.detail)
    assert theirs in told.detail
    assert one.clients[ME].sid == sid


# --- a budget of the hospital's own


def budgeted(epsilon: float):
    """Five hospitals with an account each, and a session without a loss."""
    policy = Policy(min_members=5, max_epsilon=epsilon)
    return scene(5, 1, policy=policy, dp=NOISE)


def test_a_release_is_charged_when_the_root_goes_out_and_the_next_is_refused() -> None:
    """One release at z = 2 costs 2.7 at delta = 1e-6, and two cost 3.9."""
    one = budgeted(3.0)
    one.run()
    charged = [
        [e.noise for e in client.effects if isinstance(e, events.PersistSpent)]
        for client in one.clients.values()
    ]
    # With the root; the release of shares spends no second time.
    assert charged == [[NOISE, None]] * 5
    link = one.outcome(AGGREGATOR).link
    second = one.next_session(round_no=2, link=link)
    second.run()
    assert set(second.drops().values()) == {"4.1-5"}
    assert_aborted(second, "4.2-4", silos(1, 2, 3, 4, 5))


def test_an_attempt_that_fails_before_a_root_costs_nothing() -> None:
    one = budgeted(3.0)
    failed = replace(one, silent=dict.fromkeys(silos(1, 2), Round.SHARE_KEYS))
    failed.run()
    assert isinstance(failed.outcome(AGGREGATOR), events.Aborted)
    again = one.next_session(attempt=2)
    again.run()
    assert isinstance(again.outcome(AGGREGATOR), events.Completed)


def test_another_name_for_the_task_brings_no_new_budget() -> None:
    one = budgeted(3.0)
    one.run()
    second = renamed(one)
    second.run()
    assert set(second.drops().values()) == {"4.1-5"}


def renamed(first):
    """The first round of a task of another name, by the same hospitals."""
    task = replace(first.task, task_id="another-name")
    return replace(first, task=task).next_session()


# --- differences of sums


def apart(least: int, **terms):
    policy = Policy(min_members=7, min_difference=least)
    return scene(7, 1, policy=policy, **terms)


def after(first, *lost, **changes):
    """The next round of the same hospitals, with these lost before their vector."""
    link = first.outcome(AGGREGATOR).link
    second = first.next_session(round_no=2, link=link)
    return replace(second, silent=dict.fromkeys(lost, Round.MASKED_INPUT), **changes)


@pytest.mark.parametrize("terms", [{}, {"weights": range(1, 8)}])
def test_a_sum_that_one_member_sets_apart_is_not_opened(terms) -> None:
    first = apart(2, **terms)
    first.run()
    second = after(first, silo(3))
    second.run()
    assert set(second.drops().values()) == {"4.5-8"}
    assert second.outcome(AGGREGATOR).code == "4.6-4"
    assert second.opened is None
    for u in set(second.clients) - {silo(3)}:
        end = second.clients[u].end
        assert isinstance(end, events.Aborted)
        assert (end.code, end.retry) == ("4.5-8", False)
        assert "by 1, below min_difference 2" in end.detail
    check_all(second.clients.values(), second.consortium.roster, 1)


@pytest.mark.parametrize("terms", [{}, {"weights": range(1, 8)}])
def test_a_task_of_another_name_sets_no_member_apart_either(terms) -> None:
    """The aggregator names the tasks; model and patients are the same."""
    first = apart(2, **terms)
    first.run()
    second = replace(renamed(first), silent={silo(3): Round.MASKED_INPUT})
    second.run()
    assert set(second.drops().values()) == {"4.5-8"}
    assert second.opened is None


@pytest.mark.parametrize("lost", [(), (3, 5)])
def test_the_same_set_and_one_far_enough_are_opened(lost) -> None:
    first = apart(2, weights=range(1, 8))
    first.run()
    second = after(first, *silos(*lost))
    second.run()
    assert_exact(second, set(second.clients) - set(silos(*lost)))


def test_without_the_rule_the_weight_of_one_hospital_is_the_difference() -> None:
    weights = range(1, 8)
    with switched_off("4.5-8"):
        first = apart(2, weights=weights)
        first.run()
        second = after(first, silo(3))
        second.run()
    sums = [dict(one.outcome(AGGREGATOR).result.extras) for one in (first, second)]
    assert sums[0]["weight"] - sums[1]["weight"] == weights[2]


def test_a_set_is_durable_before_the_vote_on_it_goes_out() -> None:
    one = apart(2)
    one.run()
    for client in one.clients.values():
        kinds = [
            type(e).__name__ if not isinstance(e, events.Send) else e.envelope.type
            for e in client.effects
        ]
        assert kinds.index("PersistSummed") == kinds.index("Consistency") - 1


def test_what_was_voted_for_counts_though_nobody_saw_a_certificate() -> None:
    """The aggregator may have it, and have kept it to itself."""
    first = apart(2)
    first.started().until("unmasking")
    second = after_abort(first)
    second.run()
    assert set(second.drops().values()) == {"4.5-8"}


def after_abort(first):
    """A further round after the aggregator gave the first one up."""
    for client in first.clients.values():
        client.handle(events.Stopped(code="0-1", reason="given up"))
        client.handle(
            events.InputReady(task_id="task", round_no=2, model_hash=NO_MODEL)
        )
    second = first.next_session(round_no=2)
    return replace(second, silent={silo(3): Round.MASKED_INPUT})
