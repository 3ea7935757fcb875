"""Vectors of X25519 and Ed25519, and the keys that are refused (spec 3.1, 3.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial

from protocol_spec.model import ed25519, x25519
from protocol_spec.model.messages import Body
from protocol_spec.model.primitives import KEY, case, kinds, some
from protocol_spec.model.twins import judged


def all_curves() -> Iterator[tuple[str, Body]]:
    """Every file of this module: (name, content)."""
    yield from kinds((agreements, bad_agreements, signatures, bad_signatures))


def agreements() -> tuple[str, Body]:
    """X25519 of clamped and unclamped scalars (spec 3.2)."""
    cases = []
    for name in ("one", "two", "three"):
        sk, other = some(name), x25519.public_key(some(f"other {name}"))
        agreed = x25519.agree(sk, other)
        cases.append(case(sk=sk, pk=x25519.public_key(sk), other=other, agreed=agreed))
    return "x25519", {"cases": cases}


def bad_agreements() -> tuple[str, Body]:
    """Keys that rules 3.2-1 to 3.2-4 refuse."""
    cases = []
    good = x25519.public_key(KEY)
    bad: list[tuple[str, bytes]] = [
        ("3.2-1", good[:31]),
        ("3.2-1", good + b"\x00"),
        ("3.2-1", good[:31] + bytes([good[31] | 0x80])),
        ("3.2-2", (x25519.P + 9).to_bytes(32, "little")),
        ("3.2-2", (2**255 - 1).to_bytes(32, "little")),
    ]
    bad += [("3.2-3", value.to_bytes(32, "little")) for value in x25519.LOW_ORDER]
    for rule, key in bad:
        refuse = judged(rule, "c s", partial(x25519.check_public_key, key))
        cases.append({**case(check="public_key", key=key), "refuse": refuse})
    for value in x25519.LOW_ORDER:
        key = value.to_bytes(32, "little")
        refuse = judged("3.2-4", "c s", partial(x25519.agree, KEY, key))
        cases.append({**case(check="agree", sk=KEY, key=key), "refuse": refuse})
    return "x25519_bad_keys", {"cases": cases}


def signatures() -> tuple[str, Body]:
    """Ed25519, good and merely wrong (spec 3.1)."""
    cases = []
    for size in (0, 1, 200):
        secret, message = some(f"secret {size}"), some(f"message {size}", size)
        signature = ed25519.sign(secret, message)
        public = ed25519.public_key(secret)
        parts = {"secret": secret, "public": public, "message": message}
        cases.append(case(**parts, signature=signature, valid=True))
        flipped = bytes([signature[0] ^ 1]) + signature[1:]
        cases.append(case(**parts, signature=flipped, valid=False))
    cases.append(_cofactor_case())
    return "ed25519", {"cases": cases}


def _cofactor_case() -> Body:
    """A key with a part of order 8: with the cofactor it would verify, without not."""
    order_8 = (
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"  # of order 8
    )
    scalar = int.from_bytes(some("scalar"), "little") % ed25519.ORDER
    honest = ed25519.multiply_base(scalar)
    part = ed25519.decode(bytes.fromhex(order_8)) or ed25519.IDENTITY
    mixed = ed25519.add(honest, part)
    public, message = ed25519.encode(mixed), b"message"
    r = int.from_bytes(some("r"), "little") % ed25519.ORDER
    encoded = ed25519.encode(ed25519.multiply_base(r))
    digest = hashlib.sha512(encoded + public + message).digest()
    k = int.from_bytes(digest, "little") % ed25519.ORDER
    s = (r + k * scalar) % ed25519.ORDER
    signature = encoded + s.to_bytes(32, "little")
    if k % 8 == 0 or ed25519.verify(public, message, signature):
        raise ValueError("the case shows nothing")
    return case(public=public, message=message, signature=signature, valid=False)


def bad_signatures() -> tuple[str, Body]:
    """Keys and scalars that rule 3.1-1 refuses."""
    good = ed25519.sign(KEY, b"message")
    public = ed25519.public_key(KEY)
    s = int.from_bytes(good[32:], "little") + ed25519.ORDER
    small = [
        bytes(32),
        (1).to_bytes(32, "little"),
        (ed25519.P - 1).to_bytes(32, "little"),
    ]
    bad = {
        "scalar": (public, good[:32] + s.to_bytes(32, "little")),
        "not_canonical": ((ed25519.P + 3).to_bytes(32, "little"), good),
        "minus_zero": ((1 + 2**255).to_bytes(32, "little"), good),
        "not_on_the_curve": ((2).to_bytes(32, "little"), good),
    }
    bad |= {f"small_order_{place}": (key, good) for place, key in enumerate(small)}
    cases = []
    for why, (key, signature) in bad.items():
        run = partial(ed25519.verify, key, b"message", signature)
        refuse = judged("3.1-1", "c s", run)
        parts = case(why=why, public=key, message=b"message", signature=signature)
        cases.append({**parts, "refuse": refuse})
    return "ed25519_bad_keys", {"cases": cases}
