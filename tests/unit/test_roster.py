"""secagg.roster: what a roster may hold, what is signed, and what people read."""

import dataclasses
import hashlib
import itertools
import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto import kdf
from secagg.crypto.fingerprint import fingerprint
from secagg.crypto.sign import SigningKey
from secagg.roster import Roster, RosterMember, SignedRoster

CONSORTIUM_KEY = SigningKey(b"consortium".ljust(32, b"."))


def key_of(name):
    return SigningKey(hashlib.sha256(name.encode()).digest()).public


def member(peer, role="hospital", **changes):
    fields = {"id": peer, "role": role, "key": key_of(peer), "name": f"The {peer}"}
    return RosterMember(**{**fields, **changes})


def make(*members, consortium="Cardio", version=3):
    return Roster(consortium=consortium, version=version, members=members)


ROSTER = make(member("agg", "aggregator"), member("bern"), member("zug"))
SIGNED = SignedRoster.sign(ROSTER, CONSORTIUM_KEY)


ORDERS = list(itertools.permutations(["agg", "bern", "zug"]))


def refused_rule(build):
    """The rule that refuses what `build` builds."""
    with pytest.raises(errors.RemoteProtocolError) as caught:
        build()
    return caught.value.rule


def edited(change):
    """The file of ROSTER after `change` has edited its JSON value."""
    value = json.loads(SIGNED.to_json())
    change(value)
    return json.dumps(value)


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


@pytest.mark.parametrize("version", [-1, 1 << 63])
def test_a_version_out_of_range_is_refused(version) -> None:
    with pytest.raises(errors.ParameterError, match=str(version)):
        make(version=version)


# --- what is signed


def test_the_body_is_the_canonical_array_of_the_spec() -> None:
    rows = [[m.id, m.role, m.key, m.name] for m in ROSTER.members]
    assert msgpack.unpackb(ROSTER.body()) == ["Cardio", 3, rows]


def test_the_hash_is_the_labelled_hash_of_the_body() -> None:
    label = b"secagg/1/roster"
    hashed = len(label).to_bytes(4, "little") + label
    hashed += len(ROSTER.body()).to_bytes(4, "little") + ROSTER.body()
    assert ROSTER.hash == hashlib.sha256(hashed).digest()


CHANGES = [
    {"consortium": "Cardia"},
    {"version": 4},
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


# --- the file

NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=128)
IDS = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)


@given(
    st.dictionaries(IDS, st.tuples(NAMES, st.sampled_from(["aggregator", "hospital"]))),
    st.integers(0, 2**63 - 1),
)
def test_a_file_gives_back_what_was_written(entries, version) -> None:
    members = [
        member(peer, role, name=name) for peer, (name, role) in sorted(entries.items())
    ]
    signed = SignedRoster.sign(make(*members, version=version), CONSORTIUM_KEY)
    assert SignedRoster.from_json(signed.to_json()) == signed


def test_a_file_is_for_people_to_read() -> None:
    lines = SIGNED.to_json().splitlines()
    assert '      "id": "bern",' in lines
    assert f'      "key": "{key_of("bern").hex()}"' in lines
    assert f'  "signature": "{SIGNED.signature.hex()}"' in lines


def test_the_error_for_broken_json_names_the_line() -> None:
    text = SIGNED.to_json().replace('"version": 3,', '"version": 3')
    with pytest.raises(errors.ParameterError, match="line 5"):
        SignedRoster.from_json(text)


def test_a_field_given_twice_is_refused() -> None:
    text = SIGNED.to_json().replace('"version": 3,', '"version": 3, "version": 4,')
    with pytest.raises(errors.ParameterError, match="twice"):
        SignedRoster.from_json(text)


def test_json_nested_without_end_is_refused() -> None:
    with pytest.raises(errors.ParameterError, match="not JSON"):
        SignedRoster.from_json("[" * 200_000)


FILE_BREACHES = {
    "another format": (lambda v: v.update(format="secagg-identity/1"), "format"),
    "a field missing": (lambda v: v.pop("version"), "fields"),
    "a field too many": (lambda v: v.update(note=""), "fields"),
    "no list of members": (lambda v: v.update(members={}), "members"),
    "a member that is no object": (lambda v: v["members"].append("x"), "members.3."),
    "a member without key": (lambda v: v["members"][1].pop("key"), "members.1."),
    "a version that is text": (lambda v: v.update(version="3"), "version"),
    "a version that is true": (lambda v: v.update(version=True), "version"),
    "a version that is 3.0": (lambda v: v.update(version=3.0), "version"),
    "a name that is null": (lambda v: v["members"][0].update(name=None), r"0..name"),
    "a short key": (lambda v: v["members"][1].update(key="00" * 31), r"1..key"),
    "a key in capitals": (lambda v: v["members"][1].update(key="AB" * 32), r"1..key"),
    "a signature of no digits": (lambda v: v.update(signature="xy"), "signature"),
}


@pytest.mark.parametrize("breach", FILE_BREACHES)
def test_a_misshapen_file_is_refused_by_its_field(breach) -> None:
    change, named = FILE_BREACHES[breach]
    with pytest.raises(errors.ParameterError, match=named):
        SignedRoster.from_json(edited(change))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_other_json_is_refused_with_a_typed_error(value) -> None:
    with pytest.raises(errors.ParameterError):
        SignedRoster.from_json(json.dumps(value))
