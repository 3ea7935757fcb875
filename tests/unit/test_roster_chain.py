"""secagg.roster_chain: a chain proves itself, only grows, and has one file."""

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.crypto.sign import SigningKey
from secagg.roster import Roster, RosterMember, SignedRoster
from secagg.roster_chain import RosterChain, versions_of

KEY = SigningKey(b"consortium".ljust(32, b"."))
OTHER_KEY = SigningKey(b"mallory".ljust(32, b"."))


def member(peer, role="hospital", seed=""):
    key = SigningKey(hashlib.sha256(f"{peer}{seed}".encode()).digest()).public
    return RosterMember(id=peer, role=role, key=key, name=f"The {peer}")


AGG, BERN, ZUG = member("agg", "aggregator"), member("bern"), member("zug")
ONE = RosterChain.founded("Cardio", [BERN, AGG], KEY)
TWO = ONE.followed_by([AGG, BERN, ZUG], KEY)
THREE = TWO.followed_by([AGG, ZUG], KEY)


def refused_rule(build):
    with pytest.raises(errors.RemoteProtocolError) as caught:
        build()
    return caught.value.rule


def signed(roster, key=KEY):
    return SignedRoster.sign(roster, key)


# --- growing


def test_each_version_names_the_one_before() -> None:
    rosters = [one.claimed for one in THREE.versions]
    assert [one.version for one in rosters] == [1, 2, 3]
    assert rosters[0].previous == Roster.beginning("Cardio").hash
    assert [one.previous for one in rosters[1:]] == [r.hash for r in rosters[:-1]]
    assert THREE.newest.hospitals == ("zug",)
    assert THREE.largest == 3


@pytest.mark.parametrize("given_from", [0, 1])
def test_a_chain_is_extended_by_what_is_new(given_from) -> None:
    assert ONE.extended(THREE.versions[given_from:]) == THREE


def test_what_is_there_already_changes_nothing() -> None:
    assert THREE.extended(ONE.versions) == THREE
    assert THREE.extended([]) == THREE


def test_2_1_2_what_another_signed_is_refused() -> None:
    forged = signed(TWO.newest, OTHER_KEY)
    assert refused_rule(lambda: ONE.extended([forged])) == "2.1-2"


def test_2_1_2_a_chain_is_of_the_pinned_key() -> None:
    opened = RosterChain.opened
    assert refused_rule(lambda: opened(ONE.versions, OTHER_KEY.public)) == "2.1-2"


def test_2_1_4_a_version_left_out_is_refused() -> None:
    assert refused_rule(lambda: ONE.extended(THREE.versions[2:])) == "2.1-4"


def test_2_1_4_a_chain_begins_with_version_1() -> None:
    assert refused_rule(lambda: RosterChain.opened(TWO.versions[1:], KEY.public)) == (
        "2.1-4"
    )


def test_2_1_5_a_fork_is_refused_and_both_hashes_are_named() -> None:
    fork = ONE.followed_by([AGG], KEY)
    with pytest.raises(errors.RemoteProtocolError, match="forked") as caught:
        TWO.extended(fork.versions)
    assert caught.value.rule == "2.1-5"
    assert fork.newest.hash.hex()[:12] in caught.value.detail
    assert TWO.newest.hash.hex()[:12] in caught.value.detail


def test_2_1_5_a_fork_below_a_longer_chain_is_refused() -> None:
    fork = ONE.followed_by([AGG], KEY).followed_by([AGG, ZUG], KEY)
    assert refused_rule(lambda: THREE.extended(fork.versions)) == "2.1-5"
    assert refused_rule(lambda: TWO.extended(fork.versions)) == "2.1-5"


def test_an_empty_chain_is_refused() -> None:
    with pytest.raises(errors.ParameterError, match="no version"):
        RosterChain.opened([], KEY.public)


# --- look-ups


def test_versions_are_found_by_number_and_by_hash() -> None:
    for number, one in enumerate(THREE.versions, start=1):
        assert THREE.version(number) is one.claimed
        assert THREE.named(one.claimed.hash) is one.claimed
    assert THREE.version(0) is None
    assert THREE.version(4) is None
    assert THREE.named(bytes(32)) is None
    assert THREE.after(1) == THREE.versions[1:]
    assert THREE.after(3) == ()


# --- the file

SIGNED = ONE.versions[0]


def edited(change):
    """The file of ONE after `change` has edited its first version."""
    value = json.loads(ONE.to_json())
    change(value["versions"][0])
    return json.dumps(value)


NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=128)
IDS = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)


@given(
    st.dictionaries(IDS, st.tuples(NAMES, st.sampled_from(["aggregator", "hospital"])))
)
def test_a_file_gives_back_what_was_written(entries) -> None:
    members = [
        dataclasses.replace(member(peer, role), name=name)
        for peer, (name, role) in entries.items()
    ]
    chain = ONE.followed_by(members, KEY)
    assert RosterChain.from_json(chain.to_json(), KEY.public) == chain


def test_a_file_is_for_people_to_read() -> None:
    text = ONE.to_json()
    for line in (
        '"id": "bern",',
        f'"key": "{BERN.key.hex()}"',
        f'"signature": "{SIGNED.signature.hex()}"',
    ):
        assert line in text


def test_the_error_for_broken_json_names_the_line() -> None:
    text = ONE.to_json().replace('"version": 1,', '"version": 1')
    with pytest.raises(errors.ParameterError, match="line 7"):
        versions_of(text)


def test_a_field_given_twice_is_refused() -> None:
    text = ONE.to_json().replace('"version": 1,', '"version": 1, "version": 2,')
    with pytest.raises(errors.ParameterError, match="twice"):
        versions_of(text)


def test_json_nested_without_end_is_refused() -> None:
    with pytest.raises(errors.ParameterError, match="not JSON"):
        versions_of("[" * 200_000)


def test_a_file_of_another_kind_is_refused() -> None:
    value = {**json.loads(ONE.to_json()), "format": "secagg-roster/1"}
    with pytest.raises(errors.ParameterError, match="format"):
        versions_of(json.dumps(value))


FILE_BREACHES = {
    "a field missing": (lambda v: v.pop("version"), "fields"),
    "a field too many": (lambda v: v.update(note=""), "fields"),
    "no list of members": (lambda v: v.update(members={}), "members"),
    "a member that is no object": (lambda v: v["members"].append("x"), "members.2."),
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
        versions_of(edited(change))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_other_json_is_refused_with_a_typed_error(value) -> None:
    with pytest.raises(errors.ParameterError):
        versions_of(json.dumps(value))
