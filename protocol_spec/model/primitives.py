"""Known answers of the building blocks, one file each (vectors/README.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from protocol_spec.model import aead, ed25519, keys, keystream, plane, shamir
from protocol_spec.model.encoding import h, hkdf, lp
from protocol_spec.model.envelope import signing_input
from protocol_spec.model.field import GAPS, WIDTHS, Q, prime
from protocol_spec.model.messages import Body

KEY = bytes(range(32))
SID = hashlib.sha256(b"sid").digest()


def some(label: str, size: int = 32) -> bytes:
    """Fixed bytes that look like any others."""
    return hashlib.shake_256(label.encode("ascii")).digest(size)


def all_primitives() -> Iterator[tuple[str, Body]]:
    """Every file of this module: (name, content)."""
    files = (
        kdf,
        commitments,
        transcripts,
        sealed_share,
        keystreams,
        lanes,
        sharing,
        packing,
        roots,
    )
    yield from kinds(files)


def kinds(
    files: Iterable[Callable[[], tuple[str, Body]]],
) -> Iterator[tuple[str, Body]]:
    """The files that `files` make, each with its kind."""
    for make in files:
        name, content = make()
        yield name, {"kind": name.partition("_bad")[0], **content}


def case(**fields: Any) -> Body:
    """A case, bytes as hex."""
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}


def kdf() -> tuple[str, Body]:
    """LP, H, HKDF and every derived key of section 3.5."""
    parts = [b"", b"a", bytes(300)]
    agreed, c_u, c_v = some("agreed"), some("c_pk_u"), some("c_pk_v")
    channel = keys.channel_key(SID, agreed, "h02", "h01", c_u, c_v)
    pair = keys.pair_seed(SID, agreed, "h02", "h01", c_u, c_v)
    ends = {"agreed": agreed, "u": "h02", "v": "h01", "pk_u": c_u, "pk_v": c_v}
    return "kdf", {
        "sid": SID.hex(),
        "lp": case(parts=[part.hex() for part in parts], lp=lp(*parts)),
        "h": case(label="secagg/1/sid", part=b"body", h=h("secagg/1/sid", b"body")),
        "hkdf": case(ikm=KEY, info=b"info", okm=hkdf(KEY, b"info", SID)),
        "channel": case(**ends, key=channel),
        "pair": case(**ends, seed=pair),
        "prg_pair": case(seed=pair, key=keys.pair_mask_key(SID, pair)),
        "prg_self": case(seed=KEY, key=keys.self_mask_key(SID, KEY)),
        "round": case(seed=KEY, key=hkdf(KEY, b"secagg/1/round", SID)),
        "noise": case(seed=KEY, key=hkdf(KEY, b"secagg/1/noise", SID)),
    }


def commitments() -> tuple[str, Body]:
    """B_u, com^b, com^s (spec 3.5)."""
    ends = {"u": "h01", "v": "h02", "share": KEY}
    return "commitments", {
        "sid": SID.hex(),
        "b": case(u="h01", b_u=KEY, commitment=keys.b_commitment(SID, "h01", KEY)),
        "coin": case(
            u="h01", coin=KEY, commitment=keys.coin_commitment(SID, "h01", KEY)
        ),
        "com_b": case(**ends, commitment=keys.com_b(SID, "h01", "h02", KEY)),
        "com_s": case(**ends, commitment=keys.com_s(SID, "h01", "h02", KEY)),
    }


def transcripts() -> tuple[str, Body]:
    """The hashes sid, h1, h2, h3, link and hc, and what a signature covers."""
    bodies = {name: some(name, 40) for name in ("manifest", "l1", "l2", "l3", "result")}
    sid = keys.session_id(bodies["manifest"])
    h1 = keys.h1(sid, bodies["l1"])
    h2 = keys.h2(h1, bodies["l2"])
    h3 = keys.h3(h2, bodies["l3"])
    signed = signing_input("ShareAck", sid, "h01", "agg", h1, b"\x91\xc4\x01\x0f")
    return "transcripts", {
        "bodies": case(**bodies),
        "sid": sid.hex(),
        "h1": h1.hex(),
        "h2": h2.hex(),
        "h3": h3.hex(),
        "link": keys.link(bytes(32), sid, h3, bodies["result"]).hex(),
        "hc": case(nonce_s=KEY, nonce_u=SID, hc=keys.connection(KEY, SID)),
        "signing": case(
            type="ShareAck",
            sender="h01",
            receiver="agg",
            body=b"\x91\xc4\x01\x0f",
            input=signed,
            secret=KEY,
            signature=ed25519.sign(KEY, signed),
        ),
    }


def sealed_share() -> tuple[str, Body]:
    """E_uv, sealed and refused (spec 3.6)."""
    com_b, com_s = some("com_b"), some("com_s")
    ad = keys.share_ad(SID, "h01", "h02", some("h1"), com_b, com_s)
    plaintext = keys.share_head("h01", "h02", 2) + some("share_b") + some("share_s")
    nonce = some("nonce", 12)
    sealed = aead.seal(KEY, nonce, plaintext, ad)
    cases = []
    for why, text, context in (
        ("tag", sealed[:-1] + bytes([sealed[-1] ^ 1]), ad),
        ("text", sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:], ad),
        ("nonce", bytes([sealed[0] ^ 1]) + sealed[1:], ad),
        ("ad", sealed, ad[:-1] + bytes([ad[-1] ^ 1])),
        ("short", sealed[:27], ad),
    ):
        refuse = {"rule": "4.3-4", "by": "c", "alone": False}
        cases.append({**case(why=why, sealed=text, ad=context), "refuse": refuse})
    good = case(key=KEY, nonce=nonce, ad=ad, plaintext=plaintext, sealed=sealed)
    return "sealed_share", {**good, "bad": cases}


KNOWN_WORDS = (
    (281927744, 837222574),
    (1555346861, 447618465),
    (1603071102, 2684766093),
)
"""At w = 32: positions whose word of lane 0 is not below p, and their elements."""

REJECTED: dict[int, tuple[int, ...]] = {
    16: (7442, 14771, 23188, 6899550, 7688985, 17221147),
    17: (101967, 359330, 454731),
    18: (47761, 101967, 263145),
    19: (454731, 683263, 2169675),
    20: (345622, 454731, 1568202),
    21: (301465, 1665666, 2155102),
    22: (5195019, 7716441, 13083400),
    23: (503267, 640261, 969223),
    24: (13155345, 22201476, 25200350),
    25: (40192, 640261, 996001),
    26: (4107338, 22201476, 32362788),
    27: (4216539, 4589244, 5369838),
    28: (4589244, 5369838, 7658506),
    29: (40618253, 254663069, 281927744),
    30: (61866267, 103946831, 131606810),
    32: tuple(position for position, _ in KNOWN_WORDS),
}
"""Positions, found by search, whose word of lane 0 is rejected under `KEY` and PAIR."""


def keystreams() -> tuple[str, Body]:
    """Words of every tag, far positions, and elements with real rejections (spec 6)."""
    tags = (keystream.PAIR, keystream.SELF, keystream.ROUND, keystream.NOISE)
    words = []
    for tag in tags:
        for start in (0, 13, 2**32 - 2, 2**32 + 5, 2**63):
            run = [keystream.word(KEY, tag, start + i) for i in range(6)]
            words.append({"tag": tag, "start": start, "words": run})
    elements = []
    for w, positions in REJECTED.items():
        for i in positions:
            lanes_of = [keystream.word(KEY, keystream.PAIR, i, r) for r in range(9)]
            element = keystream.element(KEY, keystream.PAIR, w, i)
            case = {"w": w, "position": i, "lanes": lanes_of, "element": element}
            elements.append(case)
    windows = [
        {"w": w, "start": 7430, "elements": _window(w, 7430, 7450)} for w in WIDTHS
    ]
    known = [{"position": i, "element": element, "w": 32} for i, element in KNOWN_WORDS]
    return "keystream", {
        "key": KEY.hex(),
        "words": words,
        "element_tag": keystream.PAIR,
        "known": known,
        "rejected": elements,
        "windows": windows,
    }


def _window(w: int, start: int, stop: int) -> list[int]:
    return [keystream.element(KEY, keystream.PAIR, w, i) for i in range(start, stop)]


def lanes() -> tuple[str, Body]:
    """Every step of the lanes, on made-up words: 0 to 8, and the reduction after 8."""
    cases = []
    for w in WIDTHS:
        for step in range(10):
            rejected = [2**w - 1 - lane % GAPS[w - 16] for lane in range(step)]
            taken = [] if step == 9 else [2**w // 3 + step]
            rest = [0] * (9 - len(rejected) - len(taken))
            high = [(word + (lane << w)) % 2**32 for lane, word in enumerate(rejected)]
            nine = [*high, *taken, *rest]
            element = keystream.map_words(nine, w)
            cases.append({"w": w, "words": nine, "element": element})
    return "keystream_lanes", {"cases": cases}


def sharing() -> tuple[str, Body]:
    """Shares, and secrets from any t of them (spec 4.3, 4.7)."""
    cases = []
    for t, n in ((2, 3), (3, 4), (7, 10)):
        draws = [int.from_bytes(some(f"{t}/{i}"), "little") % Q for i in range(t)]
        secret, coefficients = draws[0], draws[1:]
        xs = list(range(1, n + 1))
        ys = [shamir.share(secret, coefficients, x) for x in xs]
        last = dict(zip(xs[-t:], ys[-t:], strict=True))
        if shamir.rebuild(last) != secret:
            raise ValueError("the shares do not give the secret")
        hexed = [shamir.scalar_bytes(y).hex() for y in ys]
        poly = [shamir.scalar_bytes(a).hex() for a in coefficients]
        one = {"t": t, "secret": shamir.scalar_bytes(secret).hex()}
        cases.append({**one, "coefficients": poly, "x": xs, "shares": hexed})
    edge = shamir.share(Q - 1, [Q - 1], 1)
    cases.append(
        {
            "t": 2,
            "secret": shamir.scalar_bytes(Q - 1).hex(),
            "coefficients": [shamir.scalar_bytes(Q - 1).hex()],
            "x": [1],
            "shares": [shamir.scalar_bytes(edge).hex()],
        }
    )
    return "shamir", {"cases": cases}


def packing() -> tuple[str, Body]:
    """Elements at every width (spec 7.1)."""
    cases = []
    for w in WIDTHS:
        p = prime(w)
        elements = [0, 1, p - 1, p // 2, 2 ** (w - 1), p - 2, 5]
        packed = plane.pack_elements(elements, w)
        cases.append(case(w=w, p=p, elements=elements, packed=packed))
    return "packing", {"cases": cases}


def roots() -> tuple[str, Body]:
    """Merkle roots of one to nine chunks (spec 7.3)."""
    packed = [some(f"chunk {i}", 20) for i in range(9)]
    found = [plane.root_of(SID, packed[: count + 1]).hex() for count in range(9)]
    leaves = [plane.leaf(SID, index, chunk).hex() for index, chunk in enumerate(packed)]
    chunks = [chunk.hex() for chunk in packed]
    return "merkle", {
        "sid": SID.hex(),
        "chunks": chunks,
        "leaves": leaves,
        "roots": found,
    }
