"""The vector plane: packing, chunks, frames, roots, the released vector (spec 7)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol_spec.model.field import prime
from protocol_spec.model.refusal import require


def pack_elements(elements: Sequence[int], w: int) -> bytes:
    """Exactly w bits an element, lowest bit first (spec 7.1)."""
    total = sum(element << w * place for place, element in enumerate(elements))
    return total.to_bytes((len(elements) * w + 7) // 8, "little")


def unpack_elements(data: bytes, w: int, count: int) -> list[int]:
    """The elements of a packed chunk (rules 7.1-3, 7.1-4, 7.1-5)."""
    size = (count * w + 7) // 8
    require("7.1-3", len(data) == size, f"{len(data)} bytes instead of {size}")
    total = int.from_bytes(data, "little")
    require("7.1-4", total >> count * w == 0, "padding bits are not zero")
    elements = [total >> w * place & (2**w - 1) for place in range(count)]
    require("7.1-5", all(e < prime(w) for e in elements), "an element is not below p")
    return elements


def chunk_sizes(length: int, chunk_log2: int) -> list[int]:
    """Elements in each chunk: 2^chunk_log2, the last one what remains (spec 7.2)."""
    size = 2**chunk_log2
    return [min(size, length - start) for start in range(0, length, size)]


def chunks(elements: Sequence[int], w: int, chunk_log2: int) -> list[bytes]:
    """The packed chunks of a vector, in order (spec 7.2)."""
    size = 2**chunk_log2
    return [
        pack_elements(elements[start : start + size], w)
        for start in range(0, len(elements), size)
    ]


def frame(sid: bytes, index: int, chunk: bytes) -> bytes:
    """Byte 0x01, sid, u32 index and the chunk (spec 7.2)."""
    return b"\x01" + sid + index.to_bytes(4, "little") + chunk


def leaf(sid: bytes, index: int, chunk: bytes) -> bytes:
    """SHA-256(0x00 || sid || u32 index || packed chunk) (spec 7.3)."""
    text = b"\x00" + sid + index.to_bytes(4, "little") + chunk
    return hashlib.sha256(text).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Split at the largest power of two below the number of leaves (spec 7.3)."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    pair = merkle_root(leaves[:split]) + merkle_root(leaves[split:])
    return hashlib.sha256(b"\x01" + pair).digest()


def root_of(sid: bytes, packed: Sequence[bytes]) -> bytes:
    """The root of a vector's chunks."""
    return merkle_root([leaf(sid, index, chunk) for index, chunk in enumerate(packed)])


def released_vector(values: Sequence[int]) -> tuple[bytes, int]:
    """The released sum as bytes, and its width, 4 if all fit, else 8 (spec 7.5)."""
    width = 4 if all(-(2**31) <= value < 2**31 for value in values) else 8
    return b"".join(v.to_bytes(width, "little", signed=True) for v in values), width


@dataclass
class Upload:
    """What the aggregator holds of one member's chunks (rules 7.1-1 to 7.1-5)."""

    sid: bytes
    w: int
    length: int
    chunk_log2: int
    u2: list[str]
    peer: str
    stored: list[bytes] = field(default_factory=list)

    def accept(self, data: bytes) -> int | None:
        """Take a chunk's frame; return its index, None for a repeat."""
        sizes = chunk_sizes(self.length, self.chunk_log2)
        largest = 37 + (sizes[0] * self.w + 7) // 8
        known = data[:1] == b"\x01" and len(data) >= 37
        require("7.1-1", known, "not a chunk's frame")
        sid, index, chunk = data[1:33], int.from_bytes(data[33:37], "little"), data[37:]
        require("7.1-2", sid == self.sid, "a chunk of another session")
        require("7.1-2", self.peer in self.u2, "a chunk of nobody in U2")
        if index < len(self.stored):
            return None
        turn = index == len(self.stored) and index < len(sizes)
        require("7.1-2", turn, f"chunk {index} out of turn")
        require("7.1-1", len(data) <= largest, "a frame beyond the size expected")
        unpack_elements(chunk, self.w, sizes[index])
        self.stored.append(chunk)
        return index
