"""Vector files outside sessions, replayed from the file alone."""

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from protocol_spec.model import aead, chain, checks, ed25519, encoding, x25519
from protocol_spec.model.connection import End
from protocol_spec.model.field import prime
from protocol_spec.model.messages import decode_body
from protocol_spec.model.plane import Upload
from protocol_spec.model.refusal import RefusedError
from protocol_spec.model.rotation import Rotation
from tests.invariants import lp
from tests.spec.vector_files import content, names, refusals, roster_of, rosters_of


def outcome(run):
    """What a run gives, or the rule that refuses it."""
    try:
        return run()
    except RefusedError as refused:
        return refused.rule


def expected_rule(read):
    return read["refuse"]["rule"] if "refuse" in read else None


@pytest.mark.parametrize("name", names("roster"))
def test_a_roster_is_opened_or_refused_as_the_file_says(name):
    read = content(name)
    found = outcome(lambda: roster_of(read))
    if expected_rule(read):
        assert found == expected_rule(read)
    else:
        assert found.hash.hex() == read["roster_hash"]
        assert found.ids("hospital") == read["hospitals"]


@pytest.mark.parametrize("name", names("connection"))
def test_a_lobby_message_is_taken_or_refused_as_the_file_says(name):
    read = content(name)
    other = bytes.fromhex(read["other_nonce"] or "")
    nonce = bytes.fromhex(read["nonce"])
    key = bytes.fromhex(read["roster"]["consortium_key"])
    who = (read["me"], read["peer"], read["now_ms"])
    end = End(rosters_of(read), key, *who, nonce, other, read["behind"])
    found = outcome(lambda: end.take(bytes.fromhex(read["envelope"])))
    assert found == expected_rule(read) or (
        isinstance(found, dict) and not expected_rule(read)
    )
    if "pinned" in read:
        assert end.roster.hash.hex() == read["pinned"]


@pytest.mark.parametrize("name", names("history"))
def test_a_history_leads_to_the_head_that_the_file_says_or_nowhere(name):
    read = content(name)
    rosters = rosters_of(read)
    members = len(rosters[-1].keys)
    history = decode_body("History", bytes.fromhex(read["history"]), members)
    start = (read["task_id"], bytes.fromhex(read["head"]), read["aggregator"])
    found = outcome(lambda: chain.walk(history, *start, rosters).hex())
    assert found == (expected_rule(read) or read["new_head"])


@pytest.mark.parametrize("name", names("upload"))
def test_the_last_frame_of_an_upload_is_stored_or_refused_as_the_file_says(name):
    read = content(name)
    fixed = (bytes.fromhex(read["sid"]), read["w"], read["M"], read["chunk_log2"])
    upload = Upload(*fixed, read["u2"], read["peer"])
    frames = [bytes.fromhex(frame) for frame in read["frames"]]
    stored = [upload.accept(frame) for frame in frames[: len(read["stored"])]]
    assert stored == read["stored"]
    rest = frames[len(stored) :]
    rules = [outcome(lambda frame=frame: upload.accept(frame)) for frame in rest]
    assert rules == ([expected_rule(read)] if rest else [])


@pytest.mark.parametrize("name", names("vector"))
def test_a_released_vector_is_taken_or_refused_as_the_file_says(name):
    read = content(name)
    body = {"vector_hash": bytes.fromhex(read["hash"]), "vector_size": read["size"]}
    data = bytes.fromhex(read["data"])
    assert outcome(lambda: checks.check_vector(body, data)) == expected_rule(read)


def rule_cases(name):
    cases = content(name)["cases"]
    return [pytest.param(case, id=str(place)) for place, case in enumerate(cases)]


@pytest.mark.parametrize("case", rule_cases("encoding_bad_bytes"))
def test_bytes_that_are_not_canonical_are_refused(case):
    data = bytes.fromhex(case["data"])
    assert outcome(lambda: encoding.unpack(data, 1 << 20)) == case["refuse"]["rule"]


@pytest.mark.parametrize("case", rule_cases("x25519_bad_keys"))
def test_a_bad_key_is_refused(case):
    key = bytes.fromhex(case["key"])
    if case["check"] == "agree":
        found = outcome(lambda: x25519.agree(bytes.fromhex(case["sk"]), key))
    else:
        found = outcome(lambda: x25519.check_public_key(key))
    assert found == case["refuse"]["rule"]


@pytest.mark.parametrize("case", rule_cases("ed25519_bad_keys"))
def test_a_bad_identity_key_or_scalar_is_refused(case):
    parts = (bytes.fromhex(case[part]) for part in ("public", "message", "signature"))
    assert outcome(lambda: ed25519.verify(*parts)) == "3.1-1"


@pytest.mark.parametrize("case", rule_cases("ed25519"))
def test_a_signature_is_as_valid_as_the_file_says(case):
    parts = (bytes.fromhex(case[part]) for part in ("public", "message", "signature"))
    assert ed25519.verify(*parts) == case["valid"]


def test_a_spoilt_seal_does_not_open():
    read = content("sealed_share")
    key = bytes.fromhex(read["key"])
    opened = aead.open_sealed(
        key, bytes.fromhex(read["sealed"]), bytes.fromhex(read["ad"])
    )
    assert opened.hex() == read["plaintext"]
    for case in read["bad"]:
        parts = (bytes.fromhex(case["sealed"]), bytes.fromhex(case["ad"]))
        assert outcome(lambda parts=parts: aead.open_sealed(key, *parts)) == "4.3-4"


def test_every_case_that_is_refused_has_its_rule():
    assert all(refusals(name) for name in names(bad=True))


# --- the keystream by another ChaCha20 --------------------------------------------


def words_at(key, tag, lane, start, count):
    """Words of one lane by the ciphers of `cryptography`, one block at a time."""
    found = []
    for i in range(start, start + count):
        seg, rest = i >> 32, i % 2**32
        nonce = struct.pack("<4I", rest >> 4, seg, lane, tag)
        cipher = Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor()
        found.append(struct.unpack("<16I", cipher.update(bytes(64)))[i % 16])
    return found


STREAM = content("keystream")
STREAM_KEY = bytes.fromhex(STREAM["key"])


@pytest.mark.parametrize("case", STREAM["words"], ids=str)
def test_words_are_those_of_another_chacha20(case):
    assert words_at(STREAM_KEY, case["tag"], 0, case["start"], 6) == case["words"]


@pytest.mark.parametrize("case", STREAM["rejected"], ids=str)
def test_a_rejected_word_is_replaced_by_that_of_the_next_lane_that_fits(case):
    tag, position, w = STREAM["element_tag"], case["position"], case["w"]
    lanes = [words_at(STREAM_KEY, tag, lane, position, 1)[0] for lane in range(9)]
    assert lanes == case["lanes"]
    cut = [word % 2**w for word in lanes]
    assert cut[0] >= prime(w)
    assert case["element"] == next(word for word in cut if word < prime(w))


def test_the_known_elements_are_those_that_the_model_finds():
    found = {(c["w"], c["position"]): c["element"] for c in STREAM["rejected"]}
    known = {(c["w"], c["position"]): c["element"] for c in STREAM["known"]}
    assert len(known) == 3
    assert known.items() <= found.items()


def test_a_second_lane_is_rejected_somewhere():
    w = 16
    deep = [c for c in STREAM["rejected"] if c["w"] == w]
    assert any(c["lanes"][1] % 2**w >= prime(w) for c in deep)


def test_the_made_up_words_take_every_lane():
    for case in content("keystream_lanes")["cases"]:
        w, p = case["w"], prime(case["w"])
        cut = [word % 2**w for word in case["words"]]
        fitting = [word for word in cut if word < p]
        assert case["element"] == (fitting[0] if fitting else cut[-1] % p)


# --- the number layer, exactly -------------------------------------------------------


@pytest.mark.parametrize(
    "case", content("quantizer")["cases"], ids=lambda c: c["about"]
)
def test_x_u_is_within_one_of_the_exact_value_and_within_the_bounds(case):
    asked = case["given"]
    clip = encoding.from_real(bytes.fromhex(asked["clip"]))
    x_max = 2 ** (asked["bits"] - 1) - 1
    ranges = [
        encoding.from_real(bytes.fromhex(r))
        for count, r in asked["ranges"]
        for _ in range(count)
    ]
    update = [encoding.from_real(bytes.fromhex(text)) for text in case["update"]]
    norm = sum(g * g for g in update) ** 0.5
    factor = x_max * case["weight"] / asked["w_max"]
    factor *= min(1, clip / norm) if norm else 1
    scaled = [factor / r * g for g, r in zip(update, ranges, strict=True)]
    if asked["rotation"]:
        scaled = turned(scaled, bytes.fromhex(asked["rotation"]))
    exact = [max(-x_max, min(x_max, v)) for v in scaled]
    found = case["x_u"][: len(exact)]
    assert all(abs(x - v) < 1 for x, v in zip(found, exact, strict=True))
    assert all(abs(x) <= x_max for x in found)


def turned(values, seed):
    """One block, by the definition of its matrix: no butterflies, no shift."""
    size = 4 ** next(k for k in range(7) if 4**k >= len(values))
    padded = [*values, *[0.0] * (size - len(values))]
    key = hashlib.sha256(lp(b"secagg/1/rotation", seed)).digest()
    nonce = struct.pack("<4I", 0, 0, 0, 0x4B534D36)
    cipher = Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor()
    bits = int.from_bytes(cipher.update(bytes(size)), "little")
    signed = [-g if bits >> q & 1 else g for q, g in enumerate(padded)]
    rows = [[(-1) ** (i & j).bit_count() for j in range(size)] for i in range(size)]
    return [
        sum(a * g for a, g in zip(row, signed, strict=True)) / size**0.5 for row in rows
    ]


@pytest.mark.parametrize(
    "case", content("rotation")["cases"], ids=lambda c: f"m{c['m']}"
)
def test_every_coordinate_has_one_place_and_the_first_signs_are_bits(case):
    rotation = Rotation.of(bytes.fromhex(case["seed"]), case["m"])
    places = rotation.coordinates()
    assert sorted(places) == list(range(case["block"] * case["blocks"]))
    assert case["block"] * case["blocks"] - case["m"] < max(case["block"], 1)
    assert set(case["signs"]) <= {1, -1}
    assert places[:64] == case["places"]


@pytest.mark.parametrize("case", content("rounding")["cases"], ids=str)
def test_a_coordinate_is_rounded_up_exactly_for_the_words_below_its_fraction(case):
    numerator, denominator = encoding.from_real(
        bytes.fromhex(case["v"])
    ).as_integer_ratio()
    whole, rest = divmod(numerator, denominator)
    assert case["x"] == whole + (case["word"] * denominator < 2**32 * rest)


TABLE = {
    (4, 1): (3, 1),
    (5, 1): (4, 1),
    (6, 1): (4, 2),
    (7, 2): (5, 2),
    (10, 1): (6, 4),
    (10, 3): (7, 3),
    (30, 3): (17, 13),
    (100, 10): (56, 44),
    (100, 33): (67, 33),
}
"""(n, c) to (q, d), worked out by hand."""


def test_quorum_and_losses_are_those_of_the_table():
    cases = content("parameters")["cases"]
    found = {
        (c["derived"]["n"], c["derived"]["c"]): (c["derived"]["q"], c["derived"]["d"])
        for c in cases
    }
    assert TABLE.items() <= found.items()


@pytest.mark.parametrize("case", content("parameters")["cases"], ids=str)
def test_no_sum_of_coordinates_or_limbs_can_overflow(case):
    derived = case["derived"]
    half = (derived["p"] - 1) // 2
    assert derived["n"] * derived["x_max"] <= half
    assert (
        derived["n"] * 2 ** derived["limb_bits"]
        <= half
        < derived["n"] * 2 ** (derived["limb_bits"] + 1)
    )
    assert (
        derived["w"] == 16
        or prime(derived["w"] - 1) // 2 < derived["n"] * derived["x_max"]
    )
    for (_, low, high), limbs in zip(derived["extras"], derived["limbs"], strict=True):
        assert high - low < 2 ** (derived["limb_bits"] * limbs)
