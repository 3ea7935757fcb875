"""The vector plane: chunks of y_u, their root, and the frames. Spec section 7.

Vectors never pass through the machines; they travel as chunks beside the messages, and
only their root is signed. All of it is pure: sockets and files are the drivers'.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from secagg import errors, packing
from secagg.crypto import merkle
from secagg.field import MAX_WIDTH, MIN_WIDTH
from secagg.names import SessionId

MIN_CHUNK_LOG2: Final = 12
MAX_CHUNK_LOG2: Final = 20

MAX_FRAME: Final = 64 << 20
"""Bytes no frame exceeds: 4 MiB of a chunk, 58 MiB of a History of 800 members."""

_ENVELOPE: Final = b"\x00"
_CHUNK: Final = b"\x01"
_BLOB: Final = b"\x02"

# Kind, sid, chunk index; and kind, hash, offset.
_CHUNK_HEAD: Final = struct.Struct("<c32sI")
_BLOB_HEAD: Final = struct.Struct("<c32sQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """How a vector is cut (spec 7.2).

    Attributes:
        length: M, the number of elements, at least 1.
        width: w, bits per element, 16..32.
        chunk_log2: a chunk has 2^chunk_log2 elements, 12..20; the last what remains.

    Raises:
        ParameterError: a value is out of its range, or there are 2^32 chunks or more.
    """

    length: int
    width: int
    chunk_log2: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_range("length", self.length, 1, 1 << (32 + self.chunk_log2))
        _check_range("width", self.width, MIN_WIDTH, MAX_WIDTH)
        _check_range("chunk_log2", self.chunk_log2, MIN_CHUNK_LOG2, MAX_CHUNK_LOG2)

    @property
    def count(self) -> int:
        """The number of chunks."""
        return -(-self.length >> self.chunk_log2)

    @property
    def total_bytes(self) -> int:
        """The size of all chunks: M elements at w bits, whole bytes."""
        # A full chunk ends on a byte, so the parts add up to the whole.
        return packing.packed_size(self.length, self.width)

    def span(self, index: int) -> tuple[int, int]:
        """Return the elements [start, stop) of a chunk.

        Raises:
            LocalProtocolError: there is no such chunk.
        """
        if not 0 <= index < self.count:
            raise errors.LocalProtocolError(f"no chunk {index} among {self.count}")
        start = index << self.chunk_log2
        return start, min(start + (1 << self.chunk_log2), self.length)

    def size_bytes(self, index: int) -> int:
        """Return the exact size of a packed chunk.

        Raises:
            LocalProtocolError: there is no such chunk.
        """
        start, stop = self.span(index)
        return packing.packed_size(stop - start, self.width)


def is_next(index: int, stored: int, chunks: Chunks) -> bool:
    """Return whether a chunk is to be stored now; False is a repeat, to be ignored.

    Args:
        index: the chunk's, as received.
        stored: how many of its sender's chunks are stored.
        chunks: how the vector is cut.

    Raises:
        RemoteProtocolError: a chunk before it is missing, or the vector has no such
            chunk (rule 7.1-2).
    """
    errors.require(
        "7.1-2",
        index <= stored and index < chunks.count,
        f"chunk {index} came, of {chunks.count} of which {stored} are stored",
    )
    return index == stored


def check_chunk(chunk: bytes | memoryview, index: int, chunks: Chunks) -> None:
    """Check a chunk as received, and unpack nothing.

    Raises:
        LocalProtocolError: there is no such chunk; ask `is_next` first.
        CodecError: it has another length (rule 7.1-3), padding bits that are not zero
            (rule 7.1-4), or an element not below p (rule 7.1-5).
    """
    start, stop = chunks.span(index)
    packing.check_packed(chunk, stop - start, chunks.width)


def leaf_hash(sid: SessionId, index: int, chunk: bytes | memoryview) -> bytes:
    """Return SHA-256(0x00 || sid || u32 index || packed chunk)."""
    return merkle.leaf_hash(sid, index.to_bytes(4, "little"), chunk)


class RootBuilder:
    """The root over chunks that come one by one."""

    def __init__(self, sid: SessionId) -> None:
        """Start with no chunk of session `sid`."""
        self._sid = sid
        self._tree = merkle.Tree()

    @property
    def count(self) -> int:
        """The number of chunks so far."""
        return self._tree.count

    def add(self, index: int, chunk: bytes | memoryview) -> None:
        """Add the next chunk.

        Raises:
            LocalProtocolError: `index` is not the next one.
        """
        if index != self.count:
            raise errors.LocalProtocolError(f"chunk {index} instead of {self.count}")
        self.add_leaf(leaf_hash(self._sid, index, chunk))

    def add_leaf(self, leaf: bytes) -> None:
        """Add the next chunk, by its leaf."""
        self._tree.add(leaf)

    def root(self) -> bytes:
        """Return the root over the chunks so far, 32 bytes; there must be one."""
        return self._tree.root()


@dataclass(frozen=True, slots=True)
class EnvelopeFrame:
    """A message."""

    envelope: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChunkFrame:
    """A packed chunk of the sender's y_u."""

    sid: SessionId
    index: int
    chunk: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class BlobFrame:
    """A part of the blob with this SHA-256, from byte `offset` on."""

    hash: bytes
    offset: int
    part: bytes | memoryview = field(repr=False)


Frame = EnvelopeFrame | ChunkFrame | BlobFrame


def envelope_frame(envelope: bytes) -> bytes:
    """Return the frame of an encoded envelope."""
    return _ENVELOPE + envelope


def chunk_frame(sid: SessionId, index: int, chunk: bytes | memoryview) -> bytes:
    """Return the frame of a packed chunk."""
    return _CHUNK_HEAD.pack(_CHUNK, sid, index) + chunk


def blob_frame(hash: bytes, offset: int, part: bytes | memoryview) -> bytes:
    """Return the frame of a part of a blob."""
    return _BLOB_HEAD.pack(_BLOB, hash, offset) + part


def is_chunk(data: bytes) -> bool:
    """Return whether a frame is of the kind that carries a chunk."""
    return data[:1] == _CHUNK


def parse_frame(data: bytes, max_size: int = MAX_FRAME) -> Frame:
    """Return what a frame holds.

    Args:
        data: one websocket message as received.
        max_size: the size expected now, in bytes.

    Raises:
        CodecError: it is larger, of no known kind, or holds nothing (rule 7.1-1).
    """
    errors.require(
        "7.1-1",
        len(data) <= max_size,
        f"a frame of {len(data)} bytes exceeds {max_size}",
        error=errors.CodecError,
    )
    kind = data[:1]
    if kind == _CHUNK and len(data) > _CHUNK_HEAD.size:
        _, sid, index = _CHUNK_HEAD.unpack_from(data)
        # Chunks and parts are megabytes: looked at in the frame, not copied out of it.
        return ChunkFrame(sid, index, memoryview(data)[_CHUNK_HEAD.size :])
    if kind == _BLOB and len(data) > _BLOB_HEAD.size:
        _, digest, offset = _BLOB_HEAD.unpack_from(data)
        return BlobFrame(digest, offset, memoryview(data)[_BLOB_HEAD.size :])
    errors.require(
        "7.1-1",
        kind == _ENVELOPE and len(data) > 1,
        f"{len(data)} bytes that begin with {kind.hex() or 'nothing'} are no frame",
        error=errors.CodecError,
    )
    return EnvelopeFrame(data[1:])


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise errors.ParameterError(f"{name} = {value} is outside {low}..{high}")
