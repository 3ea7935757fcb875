"""The model, fed from a vector file alone, does what the file says."""

import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from protocol_spec.model.keys import session_id
from protocol_spec.model.plane import chunk_sizes, root_of, unpack_elements
from protocol_spec.model.refusal import switched_off
from tests.spec.vector_files import (
    content,
    given_of,
    machine_of,
    names,
    played,
)

SESSIONS = names("session", bad=False)
TWINS = names("session", bad=True)
SMALL = [name for name in SESSIONS if content(name)["derived"]["n"] < 10]


def parties(found):
    return [(name, who) for name in found for who in content(name)["parties"]]


@pytest.mark.parametrize(("name", "who"), parties(SESSIONS))
def test_a_party_answers_every_event_as_the_file_says(name, who):
    for expected, found in played(content(name), who):
        assert found == expected


@pytest.mark.parametrize("name", TWINS)
def test_the_bad_event_is_refused_by_the_rule_that_the_file_names(name):
    read = content(name)
    refuse = read["refuse"]
    pairs = played(read, refuse["party"])
    assert all(found == expected for expected, found in pairs)
    assert named_rule(pairs[-1][1]) == refuse["rule"] or complains(read)


def named_rule(effects):
    for kind in ("drop", "ignored"):
        if kind in effects:
            return effects[kind][1]
    return effects.get("refuse") or effects.get("aborted", {}).get("code")


def complains(read):
    """Whether the client's own record says: this dealer, by this rule."""
    refuse = read["refuse"]
    machine: Any = machine_of(read, refuse["party"])
    for operation in read["parties"][refuse["party"]]["operations"]:
        [(event, fields)] = operation["event"].items()
        machine.handle(event, given_of(read, fields))
    return machine.held.complaints == {refuse.get("complaint"): refuse["rule"]}


ALONE = [name for name in TWINS if content(name)["refuse"]["alone"]]


@pytest.mark.parametrize("name", ALONE)
def test_without_its_rule_a_bad_event_that_breaks_it_alone_goes_through(name):
    read = content(name)
    refuse = read["refuse"]
    machine = machine_of(read, refuse["party"])
    *before, bad = read["parties"][refuse["party"]]["operations"]
    for operation in before:
        [(event, fields)] = operation["event"].items()
        machine.handle(event, given_of(read, fields))
    [(event, fields)] = bad["event"].items()
    with switched_off(refuse["rule"]):
        effects = machine.handle(event, given_of(read, fields))
    assert effects != bad["expect"]
    assert "refuse" not in effects
    assert "drop" not in effects


# --- the sum, by other means ---------------------------------------------------


def opening_of(read):
    operations = read["parties"][read["aggregator"]]["operations"]
    found = [o["expect"]["open_sum"] for o in operations if "open_sum" in o["expect"]]
    return found[0] if found else None


def summed_by_honest(name):
    """Whether a sum was opened and every vector in it is in the file."""
    opening = opening_of(content(name))
    return opening and set(opening["u3"]) <= set(content(name)["parties"])


@pytest.mark.parametrize("name", [*filter(summed_by_honest, SESSIONS)])
def test_the_opened_sum_is_the_plain_sum_over_u3(name):
    read = content(name)
    inputs = [read["parties"][u]["vector"]["x_u"] for u in opening_of(read)["u3"]]
    assert read["opened"]["sum"] == [
        sum(column) for column in zip(*inputs, strict=True)
    ]


@pytest.mark.parametrize("name", [*filter(summed_by_honest, SMALL)])
def test_masked_chunks_and_opened_seeds_give_the_sum_by_another_chacha20(name):
    read = content(name)
    derived = read["derived"]
    w, p, length = derived["w"], derived["p"], derived["M"]
    opening = opening_of(read)
    total = [0] * length
    for who in opening["u3"]:
        y_u = elements_of(read["parties"][who]["vector"]["y_u"], w, length)
        total = [a + b for a, b in zip(total, y_u, strict=True)]
    for key, tag, sign in opening["seeds"]:
        mask = stream(bytes.fromhex(key), tag, w, p, length)
        total = [a + sign * b for a, b in zip(total, mask, strict=True)]
    centred = [(x + p // 2) % p - p // 2 for x in total]
    assert centred == read["opened"]["sum"]


def elements_of(packed, w, length):
    sizes = chunk_sizes(length, 12)
    chunks = [bytes.fromhex(chunk) for chunk in packed]
    parts = [unpack_elements(c, w, k) for c, k in zip(chunks, sizes, strict=True)]
    return [element for part in parts for element in part]


def stream(key, tag, w, p, length):
    """Elements 0..length - 1 by the ciphers of `cryptography`."""
    blocks = -(-length // 16)
    lanes = []
    for lane in range(9):
        nonce = struct.pack("<4I", 0, 0, lane, tag)
        cipher = Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor()
        data = cipher.update(bytes(64 * blocks))
        lanes.append([x % 2**w for (x,) in struct.iter_unpack("<I", data)])
    found = [[lane[i] for lane in lanes] for i in range(length)]
    return [next((e for e in es if e < p), es[-1] % p) for es in found]


STATED = [
    (name, who)
    for name in SMALL
    for who, party in content(name)["parties"].items()
    if "vector" in party
]


@pytest.mark.parametrize(("name", "who"), STATED)
def test_the_stated_root_is_that_of_the_chunks(name, who):
    party = content(name)["parties"][who]
    events = [operation["event"] for operation in party["operations"]]
    stated = [e["vector_masked"]["root"] for e in events if "vector_masked" in e][-1]
    sid = session_id(bytes.fromhex(content(name)["manifest"]))
    chunks = [bytes.fromhex(chunk) for chunk in party["vector"]["y_u"]]
    assert root_of(sid, chunks).hex() == stated
