"""secagg.roster: what a roster may hold, what is signed, and what people read."""

import dataclasses
import hashlib
import itertools
from typing import Any

import msgpack
import pytest

from secagg import errors
from secagg.crypto import canonical, kdf
from secagg.crypto.fingerprint import fingerprint
from secagg.crypto.sign import SigningKey
from secagg.roster import MAX_BODY, Roster, RosterMember, SignedRoster

CONSORTIUM_KEY = SigningKey(b"consortium".ljust(32, b"."))
BEFORE = bytes([7]) * 32


def key_of(name):
    return SigningKey(hashlib.sha256(name.encode()).digest()).public


def member(peer, role="hospital", **changes):
    fields = {"id": peer, "role": role, "key": key_of(peer), "name": f"The {peer}"}
    return RosterMember(**{**fields, **changes})


def make(*members, consortium="Cardio", version=3, previous=BEFORE):
    return Roster(
        consortium=consortium, version=version, members=members, previous=previous
    )


ROSTER = make(member("agg", "aggregator"), member("bern"), member("zug"))
SIGNED = SignedRoster.sign(ROSTER, CONSORTIUM_KEY)


ORDERS = list(itertools.permutations(["agg", "bern", "zug"]))


def refused_rule(build):
    """The rule that refuses what `build` builds."""
    with pytest.raises(errors.RemoteProtocolError) as caught:
        build()
    return caught.value.rule


# --- the rules


@pytest.mark.parametrize("peer", ["", "a" * 65, "Bern", "b_n", "b n", "b\n", "é", "a."])
def test_2_1_1_an_ill_formed_id_is_refused(peer) -> None:
    assert refused_rule(lambda: make(member(peer))) == "2.1-1"


@pytest.mark.parametrize("peer", ["a", "-", "0", "a" * 64, "st-gallen-2"])
def test_2_1_1_a_well_formed_id_is_accepted(peer) -> None:
    assert make(member(peer)).hospitals == (peer,)


@pytest.mark.parametrize("order", ORDERS)
def test_2_1_3_only_the_sorted_order_is_accepted(order) -> None:
    members = [member(peer) for peer in order]
    if list(order) == sorted(order):
        assert make(*members).hospitals == order
    else:
        assert refused_rule(lambda: make(*members)) == "2.1-3"


def test_2_1_3_one_id_twice_is_refused() -> None:
    twins = [member("bern"), member("bern", key=key_of("other"))]
    assert refused_rule(lambda: make(*twins)) == "2.1-3"


def test_2_1_3_one_key_twice_is_refused_and_both_are_named() -> None:
    twins = [member("bern"), member("zug", key=key_of("bern"))]
    with pytest.raises(errors.RemoteProtocolError, match="bern and zug") as caught:
        make(*twins)
    assert caught.value.rule == "2.1-3"


@pytest.mark.parametrize("role", ["", "Hospital", "observer"])
def test_2_1_3_another_role_is_refused(role) -> None:
    assert refused_rule(lambda: make(member("bern", role))) == "2.1-3"


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytes(32), b"\xff" * 32])
def test_3_1_1_a_weak_or_misshapen_key_is_refused_and_its_owner_named(key) -> None:
    with pytest.raises(errors.RemoteProtocolError) as caught:
        make(member("bern", key=key))
    assert (caught.value.rule, caught.value.culprits) == ("3.1-1", ("bern",))


@pytest.mark.parametrize("name", ["a" * 129, "Zürich", "tab\t", "line\n"])
def test_a_name_that_is_not_short_printable_ascii_is_refused(name) -> None:
    with pytest.raises(errors.ParameterError, match="bern"):
        make(member("bern", name=name))


@pytest.mark.parametrize("consortium", ["", "a" * 129, "Zürich"])
def test_a_consortium_that_is_not_short_printable_ascii_is_refused(consortium) -> None:
    with pytest.raises(errors.ParameterError):
        make(consortium=consortium)


@pytest.mark.parametrize("version", [-1, (1 << 62) + 1])
def test_a_version_out_of_range_is_refused(version) -> None:
    with pytest.raises(errors.ParameterError, match=str(version)):
        make(version=version)


# --- what is signed


def test_the_body_is_the_canonical_array_of_the_spec() -> None:
    rows = [[m.id, m.role, m.key, m.name] for m in ROSTER.members]
    assert msgpack.unpackb(ROSTER.body()) == ["Cardio", 3, BEFORE, rows]


def test_the_hash_is_the_labelled_hash_of_the_body() -> None:
    label = b"secagg/1/roster"
    hashed = len(label).to_bytes(4, "little") + label
    hashed += len(ROSTER.body()).to_bytes(4, "little") + ROSTER.body()
    assert ROSTER.hash == hashlib.sha256(hashed).digest()


CHANGES = [
    {"consortium": "Cardia"},
    {"version": 4},
    {"previous": bytes(32)},
    {"members": ROSTER.members[:-1]},
    *(
        {"members": (dataclasses.replace(ROSTER.members[0], **c), *ROSTER.members[1:])}
        for c in [{"id": "abb"}, {"role": "hospital"}, {"name": ""}]
    ),
    {"members": (*ROSTER.members[:2], member("zug", key=key_of("new")))},
]


@pytest.mark.parametrize("change", CHANGES)
def test_2_1_2_a_signature_holds_for_every_field(change) -> None:
    other = SignedRoster(dataclasses.replace(ROSTER, **change), SIGNED.signature)
    assert other.claimed.hash != ROSTER.hash
    assert refused_rule(lambda: other.verify(CONSORTIUM_KEY.public)) == "2.1-2"


def test_2_1_2_another_consortiums_key_is_refused_by_its_fingerprint() -> None:
    with pytest.raises(errors.RemoteProtocolError) as caught:
        SIGNED.verify(key_of("bern"))
    assert caught.value.rule == "2.1-2"
    assert fingerprint(key_of("bern")) in caught.value.detail


def test_2_1_2_a_signature_for_another_purpose_is_refused() -> None:
    message = kdf.lp(b"secagg/1/sig", ROSTER.body())
    forged = SignedRoster(ROSTER, CONSORTIUM_KEY.sign(message))
    assert refused_rule(lambda: forged.verify(CONSORTIUM_KEY.public)) == "2.1-2"


def test_a_verified_roster_is_the_one_that_was_signed() -> None:
    assert SIGNED.verify(CONSORTIUM_KEY.public) == ROSTER


# --- look-ups


def test_members_are_found_by_id_by_key_and_by_role() -> None:
    assert ROSTER.member("bern") is ROSTER.members[1]
    assert ROSTER.owner(key_of("zug")) is ROSTER.members[2]
    assert ROSTER.owner(key_of("else")) is None
    assert ROSTER.aggregators == ("agg",)
    assert ROSTER.hospitals == ("bern", "zug")
    assert ROSTER.fingerprint("bern") == fingerprint(key_of("bern"))


def test_membership_is_by_id() -> None:
    assert "bern" in ROSTER
    assert "chur" not in ROSTER


def test_an_unknown_member_is_refused_by_name_and_version() -> None:
    with pytest.raises(errors.LocalProtocolError, match=r"'chur'.* version 3"):
        ROSTER.member("chur")


# --- the wire


def test_a_roster_comes_back_from_its_body() -> None:
    assert Roster.from_body(ROSTER.body()) == ROSTER
    wire = SignedRoster.from_wire(ROSTER.body(), SIGNED.signature)
    assert wire.verify(CONSORTIUM_KEY.public) == ROSTER


ROWS = [[m.id, m.role, m.key, m.name] for m in ROSTER.members]
MISSHAPEN: dict[str, Any] = {
    "no array": "Cardio",
    "three fields": ["Cardio", 3, BEFORE],
    "a version that is text": ["Cardio", "3", BEFORE, ROWS],
    "a negative version": ["Cardio", -1, BEFORE, ROWS],
    "a short hash": ["Cardio", 3, BEFORE[1:], ROWS],
    "no rows": ["Cardio", 3, BEFORE, None],
    "a row of three": ["Cardio", 3, BEFORE, [ROWS[0][:3]]],
    "a key that is text": ["Cardio", 3, BEFORE, [[*ROWS[0][:2], "k", "n"]]],
    "a name with a tab": ["Cardio", 3, BEFORE, [[*ROWS[0][:3], "\t"]]],
    "no consortium": ["", 3, BEFORE, ROWS],
}


@pytest.mark.parametrize("case", MISSHAPEN)
def test_3_3_6_a_misshapen_body_is_refused(case) -> None:
    body = canonical.pack(MISSHAPEN[case])
    assert refused_rule(lambda: Roster.from_body(body)) == "3.3-6"


def test_3_3_1_a_body_beyond_its_limit_is_refused() -> None:
    body = canonical.pack(["C" * MAX_BODY])
    assert refused_rule(lambda: Roster.from_body(body)) == "3.3-1"


# --- the next version


def test_the_next_version_names_this_one_and_sorts_its_members() -> None:
    after = ROSTER.followed_by([member("zug"), member("agg", "aggregator")])
    assert (after.version, after.previous) == (4, ROSTER.hash)
    assert [one.id for one in after.members] == ["agg", "zug"]
    ROSTER.require_successor(after)


AFTER = ROSTER.followed_by(ROSTER.members)


@pytest.mark.parametrize(
    "change",
    [{"version": 3}, {"version": 5}, {"previous": BEFORE}, {"consortium": "Cardia"}],
)
def test_2_1_4_what_does_not_follow_is_refused(change) -> None:
    other = dataclasses.replace(AFTER, **change)
    assert refused_rule(lambda: ROSTER.require_successor(other)) == "2.1-4"


def test_version_0_has_nobody_and_names_nothing() -> None:
    beginning = Roster.beginning("Cardio")
    assert (beginning.version, beginning.members) == (0, ())
    assert beginning.previous == bytes(32)
