"""The known answers of protocol_spec/vectors that are no sessions, against secagg."""

import hashlib
from typing import Any
from unittest import mock

import numpy as np
import pytest

from secagg import errors, extras, field, graph, packing, quantize, shamir, vector
from secagg.crypto import aead, agree, canonical, kdf, merkle, prg, sign, transcript
from secagg.field import Q
from secagg.messages import BlobRef
from secagg.names import PeerId, SessionId
from secagg.params import SATURATED, WEIGHT
from secagg.released import ReleasedVector, encoded, reference
from secagg.rotation import Rotation
from secagg.scale import Scale
from tests.invariants import lp
from tests.vectors import elsewhere
from tests.vectors.files import content, derived_of, names, roster_of, unhex

KDF, COM, TRANSCRIPTS = content("kdf"), content("commitments"), content("transcripts")


def cases(name, key="cases"):
    return content(name)[key]


# --- hashes and keys (1, 3.4 to 3.7, 4.8, 8)


def test_length_prefixing_hashing_and_hkdf() -> None:
    sid = unhex(KDF["sid"])
    parts = [unhex(part) for part in KDF["lp"]["parts"]]
    assert kdf.lp(*parts) == unhex(KDF["lp"]["lp"]) == lp(*parts)
    h = KDF["h"]
    assert kdf.digest(h["label"], unhex(h["part"])) == unhex(h["h"])
    derived = KDF["hkdf"]
    found = kdf.hkdf(unhex(derived["ikm"]), sid, unhex(derived["info"]))
    assert found == unhex(derived["okm"])


@pytest.mark.parametrize(
    ("row", "derive", "out"),
    [
        ("channel", transcript.channel_key, "key"),
        ("pair", transcript.pair_seed, "seed"),
    ],
)
def test_a_key_of_two_is_that_of_the_file(row, derive, out) -> None:
    given, sid = KDF[row], SessionId(unhex(KDF["sid"]))
    names_ = (PeerId(given["u"]), PeerId(given["v"]))
    pks = (unhex(given["pk_u"]), unhex(given["pk_v"]))
    assert derive(sid, unhex(given["agreed"]), *names_, *pks) == unhex(given[out])


@pytest.mark.parametrize(
    ("row", "derive"),
    [
        ("prg_pair", transcript.pair_mask_key),
        ("prg_self", transcript.self_mask_key),
        ("round", transcript.rounding_key),
        ("noise", transcript.noise_key),
    ],
)
def test_a_prg_key_is_that_of_the_file(row, derive) -> None:
    found = derive(SessionId(unhex(KDF["sid"])), unhex(KDF[row]["seed"]))
    assert found == unhex(KDF[row]["key"])


def test_commitments() -> None:
    sid = SessionId(unhex(COM["sid"]))
    b = COM["b"]
    found = transcript.b_commitment(sid, PeerId(b["u"]), unhex(b["b_u"]))
    assert found == unhex(b["commitment"])
    coin = COM["coin"]
    found = transcript.coin_commitment(sid, PeerId(coin["u"]), unhex(coin["coin"]))
    assert found == unhex(coin["commitment"])
    for place, kind in enumerate(("com_b", "com_s")):
        u, v = PeerId(COM[kind]["u"]), PeerId(COM[kind]["v"])
        share = unhex(COM[kind]["share"])
        pair = transcript.share_commitments(sid, u, v, share, share)
        assert pair[place] == unhex(COM[kind]["commitment"])


def test_transcripts_links_and_signing_input() -> None:
    file: dict[str, Any] = TRANSCRIPTS
    bodies = {name: unhex(body) for name, body in file["bodies"].items()}
    sid = transcript.session_id(bodies["manifest"])
    h1 = transcript.h1(sid, bodies["l1"])
    h2 = transcript.h2(h1, bodies["l2"])
    h3 = transcript.h3(h2, bodies["l3"])
    fixed = [unhex(file[name]) for name in ("sid", "h1", "h2", "h3")]
    assert [sid, h1, h2, h3] == fixed
    start = transcript.LINK_START
    assert transcript.link(start, sid, h3, bodies["result"]) == unhex(file["link"])
    hc = file["hc"]
    found = transcript.connection(unhex(hc["nonce_s"]), unhex(hc["nonce_u"]))
    assert found == unhex(hc["hc"])
    given = file["signing"]
    route = (given["type"], sid, given["sender"], given["receiver"])
    signed = transcript.signing_input(*route, h1, unhex(given["body"]))
    assert signed == unhex(given["input"])
    key = sign.SigningKey(unhex(given["secret"]))
    assert key.sign(signed) == unhex(given["signature"])


def test_a_sealed_share() -> None:
    file = content("sealed_share")
    key, nonce, plaintext, ad = (
        unhex(file[name]) for name in ("key", "nonce", "plaintext", "ad")
    )
    sealed = aead.seal(key, nonce, plaintext, ad)
    assert sealed == unhex(file["sealed"])
    assert aead.open_sealed(key, sealed, ad) == plaintext


@pytest.mark.parametrize("case", cases("x25519"))
def test_x25519(case) -> None:
    pair = agree.KeyPair(unhex(case["sk"]))
    assert pair.public == unhex(case["pk"])
    other = unhex(case["other"])
    agree.check_public_key(other)
    assert agree.shared_secret(pair, other) == unhex(case["agreed"])


@pytest.mark.parametrize("case", cases("ed25519"))
def test_ed25519(case) -> None:
    public, message = unhex(case["public"]), unhex(case["message"])
    signature = unhex(case["signature"])
    assert sign.verify(public, signature, message) == case["valid"]
    if "secret" in case:
        key = sign.SigningKey(unhex(case["secret"]))
        assert key.public == public
        assert (key.sign(message) == signature) == case["valid"]


# --- the canonical encoding (3.3)


def value_of(written):
    if isinstance(written, dict):
        return unhex(written["bytes"])
    if isinstance(written, list):
        return tuple(value_of(item) for item in written)
    return written


@pytest.mark.parametrize("case", cases("encoding"))
def test_a_value_and_its_canonical_bytes(case) -> None:
    value, data = value_of(case["value"]), unhex(case["canon"])
    assert canonical.pack(value) == data
    assert canonical.unpack(data, len(data)) == value


@pytest.mark.parametrize("case", cases("encoding", "reals"))
def test_a_real_and_its_bytes(case) -> None:
    assert canonical.real(float(case["real"])) == unhex(case["bytes"])
    assert canonical.from_real(unhex(case["bytes"])) == float(case["real"])


# --- the keystream (6)

STREAM = content("keystream")
KEY = unhex(STREAM["key"])
TAG = prg.Tag(STREAM["element_tag"])


@pytest.mark.parametrize("case", STREAM["words"])
def test_words_of_lane_0(case) -> None:
    tag, start, words = prg.Tag(case["tag"]), case["start"], case["words"]
    assert prg.words(KEY, tag, start, start + len(words)).tolist() == words


@pytest.mark.parametrize("case", STREAM["rejected"])
def test_a_rejected_word_and_what_takes_its_place(case) -> None:
    width, position = case["w"], case["position"]
    for lane, word in enumerate(case["lanes"]):
        found = prg.words(KEY, TAG, position, position + 1, lane)
        assert found.tolist() == [word]
    assert case["lanes"][0] % 2**width >= field.prime(width)
    found = prg.elements(KEY, TAG, width, position, position + 1)
    assert found.tolist() == [case["element"]]


@pytest.mark.parametrize("case", STREAM["known"])
def test_the_designs_known_elements(case) -> None:
    position = case["position"]
    found = prg.elements(KEY, TAG, case["w"], position, position + 1)
    assert found.tolist() == [case["element"]]


@pytest.mark.parametrize("case", STREAM["windows"])
def test_a_window_of_elements(case) -> None:
    start, expected = case["start"], case["elements"]
    found = prg.elements(KEY, TAG, case["w"], start, start + len(expected))
    assert found.tolist() == expected


@pytest.mark.parametrize("case", cases("keystream_lanes"))
def test_every_lane_is_asked_in_turn_and_the_ninth_word_is_reduced(case) -> None:
    width, words = case["w"], case["words"]
    cut = words[0] % 2**width
    if cut < field.prime(width):
        assert cut == case["element"]
        return

    def made_up(keys, tags, positions, lane):
        del keys, tags
        return np.full(len(positions), words[lane], dtype=np.uint32)

    stream = prg.ElementStream(KEY, TAG, width, 0)
    with mock.patch.object(prg, "scattered_words", made_up):
        found = prg.replacements(
            [stream], np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.uint64)
        )
    assert found.tolist() == [case["element"]]


# --- sharing, spec 4.3


@pytest.mark.parametrize("case", cases("shamir"))
def test_shares_of_a_secret_and_the_secret_of_any_t(case) -> None:
    secret, *coefficients = (
        int.from_bytes(unhex(x), "little")
        for x in (case["secret"], *case["coefficients"])
    )
    xs, shares = case["x"], [unhex(y) for y in case["shares"]]
    found = shamir.share(secret, coefficients, xs)
    assert [shamir.scalar_to_bytes(y) for y in found] == shares
    assert all(y < Q for y in found)
    t = case["t"]
    for first in range(len(xs) - t + 1):
        some = slice(first, first + t)
        weights = shamir.lagrange_at_zero(xs[some])
        assert shamir.rebuild(found[some], weights) == secret


# --- the number layer, spec 2.2 and 5


@pytest.mark.parametrize("case", cases("parameters"))
def test_derived_parameters(case) -> None:
    assert derived_of(elsewhere.parameters(case["given"])) == case["derived"]


@pytest.mark.parametrize("case", cases("quantizer"), ids=lambda case: case["about"])
def test_a_quantized_update(case) -> None:
    params = elsewhere.parameters(case["given"])
    update = np.array([elsewhere.real(x) for x in case["update"]])
    weight = case["weight"]
    quantized = quantize.QuantizedUpdate(
        update,
        params.scale,
        weight=weight / params.max_weight,
        rounding_key=unhex(case["rounding_key"]),
    )
    assert quantized.saturated() == case["saturated"]
    derived = {WEIGHT: weight, SATURATED: case["saturated"]}
    known = {extra.name for extra in params.extras}
    values = {**case["extras"], **{k: v for k, v in derived.items() if k in known}}
    tail = extras.encode(values, params)
    head = quantized.chunk(0, params.coordinates, params.p)
    x_u = field.centre(np.concatenate([head, tail]), params.p)
    assert x_u.tolist() == case["x_u"]


@pytest.mark.parametrize("case", cases("rotation"), ids=lambda case: f"m{case['m']}")
def test_a_rotation_there_and_back(case) -> None:
    m, key = case["m"], unhex(case["key"])
    rotation = Rotation(unhex(case["seed"]), m)
    assert (rotation._key, rotation.block) == (key, case["block"])
    assert (rotation.blocks, rotation.length) == (case["blocks"], m)
    update = np.array([(j * 7919 % 1009 - 504) / 64 for j in range(m)])
    there = rotation.forward(update, 1.0, 0, rotation.blocks)
    assert reals_of(update) == case["update"]
    assert reals_of(there) == case["forward"]
    back = rotation.backward(np.floor(there).astype(np.int64), 0)
    assert reals_of(back) == case["backward"]


def reals_of(values) -> dict[str, Any]:
    """As the file has them: a zero is not negative."""
    plain = np.asarray(values + 0.0, dtype="<f8")
    first = [value.tobytes().hex() for value in plain[:20]]
    return {"first": first, "sha256": hashlib.sha256(plain.tobytes()).hexdigest()}


@pytest.mark.parametrize("case", cases("rounding"))
def test_a_coordinate_rounded_by_a_word(case) -> None:
    scale = Scale(bits=24, clip=1.0, ranges=((1, 1.0),))
    one = quantize.QuantizedUpdate(np.zeros(1), scale, rounding_key=bytes(32))
    v, word = elsewhere.real(case["v"]), case["word"]
    p = field.prime(32)
    with (
        mock.patch.object(one, "_gains", (2.0**32,)),
        mock.patch.object(one, "_update", np.array([v])),
        mock.patch.object(prg.Keystream, "fill", lambda _, out: out.fill(word)),
    ):
        x = one.chunk(0, 1, p)
    assert field.centre(x, p).tolist() == [case["x"]]


# --- the vector plane (7)


@pytest.mark.parametrize("case", cases("packing"))
def test_packing(case) -> None:
    width, elements = case["w"], case["elements"]
    assert field.prime(width) == case["p"]
    packed = packing.pack(np.array(elements, dtype=np.uint32), width)
    assert packed == unhex(case["packed"])
    assert packing.unpack(packed, len(elements), width).tolist() == elements


def test_leaves_and_roots() -> None:
    file = content("merkle")
    sid = SessionId(unhex(file["sid"]))
    leaves, roots = [unhex(x) for x in file["leaves"]], file["roots"]
    builder = vector.RootBuilder(sid)
    for index, text in enumerate(file["chunks"]):
        assert vector.leaf_hash(sid, index, unhex(text)) == leaves[index]
        builder.add(index, unhex(text))
        assert builder.root() == unhex(roots[index])
        assert merkle.root(leaves[: index + 1]) == unhex(roots[index])


@pytest.mark.parametrize("name", names("upload", bad=False))
def test_an_upload_is_stored_as_the_file_says(name) -> None:
    file = content(name)
    stored, root = elsewhere.upload(file)
    assert stored == file["stored"]
    assert root == unhex(file["root"])


@pytest.mark.parametrize("name", names("vector", bad=False))
def test_a_released_vector_is_taken(name) -> None:
    file = content(name)
    elsewhere.released_vector(file)
    data = unhex(file["data"])
    length = file["size"] // file["width"]
    total = ReleasedVector.of(data, width=file["width"], length=length).sum()
    said = BlobRef(hash=unhex(file["hash"]), size=file["size"], width=file["width"])
    assert reference(total) == said
    assert b"".join(encoded(total, said.width)) == data


# --- the roster, the lobby and the chain (2.1, 8, 4.8)


@pytest.mark.parametrize("name", names("roster", bad=False))
def test_a_roster_is_opened_and_hashed(name) -> None:
    file = content(name)
    roster = roster_of(file["roster"])
    assert roster.body() == unhex(file["roster"]["body"])
    assert roster.hash == unhex(file["roster_hash"])
    assert list(roster.hospitals) == file["hospitals"]
    assert list(roster.aggregators) == file["aggregators"]


@pytest.mark.parametrize("name", names("connection", bad=False))
def test_a_message_of_the_lobby_is_taken(name) -> None:
    elsewhere.lobby_message(content(name))


@pytest.mark.parametrize("name", names("history", bad=False))
def test_a_history_leads_to_its_head(name) -> None:
    file = content(name)
    assert elsewhere.walk_history(file) == unhex(file["new_head"])


# --- the graph (2.4)


@pytest.mark.parametrize("case", cases("graph_degrees"))
def test_the_degree_of_a_cohort(case) -> None:
    asked = (case["n"], case["c"], case["losses"])
    if case["degree"] is None:
        with pytest.raises(errors.ParameterError):
            graph.degree_of(*asked)
    else:
        assert graph.degree_of(*asked) == graph.Degree(**case["degree"])


def in_full_or_hashed(case, name, rows):
    """Compare numbers with those of the file, or with their hash (2.4)."""
    if name in case:
        return rows == case[name]
    data = np.array(rows, dtype="<u4").tobytes()
    return hashlib.sha256(data).hexdigest() == case[f"{name}_hash"]


@pytest.mark.parametrize("case", cases("graphs"))
def test_the_base_graph_its_labelling_and_the_neighbours(case) -> None:
    n, k, seed = case["n"], case["k"], unhex(case["seed"])
    assert in_full_or_hashed(case, "base", graph.base_graph(n, k).tolist())
    assert in_full_or_hashed(case, "labelling", graph.labelling(n, seed))
    members = tuple(PeerId(f"h{i:04}") for i in range(n))
    made = graph.regular(members, graph.Degree(k, 0, 2, 2), seed)
    near = [[members.index(v) for v in made.neighbours(u)] for u in members]
    assert in_full_or_hashed(case, "neighbours", near)


@pytest.mark.parametrize("case", cases("graphs"))
def test_the_first_counters_give_no_base_graph_within_the_bound(case) -> None:
    n, k = case["n"], case["k"]
    made = [graph.shuffled_ring(n, k, ctr) for ctr in range(case["ctr"] + 1)]
    within = [graph.is_expander(adjacent, k) for adjacent in made]
    assert within == [False] * case["ctr"] + [True]


def test_every_kind_of_file_is_read_by_a_test() -> None:
    read = {
        "session", "roster", "connection", "history", "upload", "vector", "kdf",
        "commitments", "transcripts", "sealed_share", "keystream", "keystream_lanes",
        "shamir", "packing", "merkle", "x25519", "ed25519", "encoding", "parameters",
        "quantizer", "rotation", "rounding", "graph_degrees", "graphs",
    }  # fmt: skip
    listed = {file for part in content("index").values() for file in part}
    assert {content(name)["kind"] for name in listed} == read
