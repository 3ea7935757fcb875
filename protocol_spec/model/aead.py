"""ChaCha20, Poly1305 and their AEAD (RFC 8439), for sealed shares (spec 3.6)."""

from __future__ import annotations

import hmac
import struct

from protocol_spec.model.refusal import require

WORD = 0xFFFFFFFF
CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")
ROUND = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)


def chacha20_block(key: bytes, last: tuple[int, int, int, int]) -> list[int]:
    """The 16 words of one block; `last` are the state words 12..15 (RFC 8439, 2.3)."""
    start = [*CONSTANTS, *struct.unpack("<8I", key), *last]
    x = list(start)
    for _ in range(10):
        for a, b, c, d in ROUND:
            _quarter_round(x, a, b, c, d)
    return [(after + before) & WORD for after, before in zip(x, start, strict=True)]


def _quarter_round(x: list[int], a: int, b: int, c: int, d: int) -> None:
    """RFC 8439, 2.1, in place."""
    xa, xb, xc, xd = x[a], x[b], x[c], x[d]
    xa = (xa + xb) & WORD
    xd ^= xa
    xd = (xd << 16 | xd >> 16) & WORD
    xc = (xc + xd) & WORD
    xb ^= xc
    xb = (xb << 12 | xb >> 20) & WORD
    xa = (xa + xb) & WORD
    xd ^= xa
    xd = (xd << 8 | xd >> 24) & WORD
    xc = (xc + xd) & WORD
    xb ^= xc
    x[a], x[b], x[c], x[d] = xa, (xb << 7 | xb >> 25) & WORD, xc, xd


def _block(key: bytes, counter: int, nonce: bytes) -> bytes:
    n0, n1, n2 = struct.unpack("<3I", nonce)
    return struct.pack("<16I", *chacha20_block(key, (counter, n0, n1, n2)))


def _xor_stream(key: bytes, nonce: bytes, text: bytes) -> bytes:
    """ChaCha20 encryption from counter 1 on (RFC 8439, 2.4)."""
    out = b""
    for index in range(0, len(text), 64):
        block = _block(key, 1 + index // 64, nonce)
        piece = text[index : index + 64]
        out += bytes(t ^ k for t, k in zip(piece, block, strict=False))
    return out


def poly1305(key: bytes, text: bytes) -> bytes:
    """RFC 8439, 2.5."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s = int.from_bytes(key[16:], "little")
    total = 0
    for index in range(0, len(text), 16):
        block = text[index : index + 16] + b"\x01"
        total = (total + int.from_bytes(block, "little")) * r % (2**130 - 5)
    return ((total + s) % 2**128).to_bytes(16, "little")


def _tag(key: bytes, nonce: bytes, text: bytes, ad: bytes) -> bytes:
    """RFC 8439, 2.8: the tag over AD and ciphertext, padded, and their lengths."""
    padded = ad + bytes(-len(ad) % 16) + text + bytes(-len(text) % 16)
    return poly1305(
        _block(key, 0, nonce)[:32], padded + struct.pack("<QQ", len(ad), len(text))
    )


def seal(key: bytes, nonce: bytes, plaintext: bytes, ad: bytes) -> bytes:
    """Nonce || ciphertext || tag (spec 3.6)."""
    text = _xor_stream(key, nonce, plaintext)
    return nonce + text + _tag(key, nonce, text, ad)


def open_sealed(key: bytes, sealed: bytes, ad: bytes) -> bytes:
    """The plaintext of a sealed share (rule 4.3-4)."""
    require("4.3-4", len(sealed) >= 28, "too short for a nonce and a tag")
    nonce, text, tag = sealed[:12], sealed[12:-16], sealed[-16:]
    genuine = hmac.compare_digest(tag, _tag(key, nonce, text, ad))
    require("4.3-4", genuine, "the tag does not verify")
    return _xor_stream(key, nonce, text)
