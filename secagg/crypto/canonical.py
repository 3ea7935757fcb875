"""The canonical encoding: msgpack in one form only. Spec section 3.3.

Arrays, integers in [-2^63, 2^64), byte strings, ASCII text and nil, each in its
shortest form; so equal values have equal bytes, and a hash or a signature of the bytes
is one of the value. Bytes are accepted only if encoding the decoded value gives them
back. Which fields a message has is the codec's business.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgpack

from secagg import errors

Value: TypeAlias = "int | bytes | str | Sequence[Value] | None"
"""What can be encoded; `unpack` gives arrays as tuples."""

MAX_DEPTH: Final = 8
"""Arrays nest at most this deep; ``[[]]`` is 2 deep."""

REAL_SIZE: Final = 8
"""Bytes of an encoded real."""

_INT_MIN: Final = -(2**63)
_INT_END: Final = 2**64
_DOUBLE: Final = struct.Struct("<d")
_ARRAYS: Final = frozenset({list, tuple})
_PLAIN: Final = _ARRAYS | {int, str, bytes, type(None)}


def pack(value: Value) -> bytes:
    """Return the canonical bytes of `value`.

    Args:
        value: an integer, bytes, ASCII text, None, or a list or tuple of such.

    Raises:
        ParameterError: it holds another type, an integer out of range, text that is not
            ASCII, or arrays more than 8 deep.
    """
    if not _plain(value):
        if _depth(value) > MAX_DEPTH:
            raise errors.ParameterError(f"arrays nest more than {MAX_DEPTH} deep")
        foreign = _foreign(value)
        if foreign is not None:
            raise errors.ParameterError(f"the canonical encoding has no {foreign}")
    return _encode(value)


def unpack(data: bytes, max_size: int) -> Value:
    """Return the value of which `data` is the canonical form.

    Args:
        data: bytes as received.
        max_size: the limit of their type, in bytes.

    Returns:
        An integer, bytes, text, None, or a tuple of such.

    Raises:
        CodecError: too long (rule 3.3-1); not one msgpack value, or nested too deep
            (rule 3.3-2); a type that is not allowed (rule 3.3-3); not the shortest
            form (rule 3.3-4).
    """
    _require("3.3-1", len(data) <= max_size, f"{len(data)} bytes exceed {max_size}")
    value, rest = _decode(data)
    _require("3.3-2", rest == 0, f"{rest} bytes follow the value")
    if not _plain(value):
        deep = f"arrays nest more than {MAX_DEPTH} deep"
        _require("3.3-2", _depth(value) <= MAX_DEPTH, deep)
        foreign = _foreign(value)
        _require("3.3-3", foreign is None, f"holds {foreign}")
    kept = data[: len(data) - rest]
    _require("3.3-4", _encode(value) == kept, "not the shortest form")
    return value


def real(x: float) -> bytes:
    """Return `x` as 8 bytes, binary64, little endian; -0.0 as 0.0.

    Raises:
        ParameterError: `x` is a NaN or infinite.
    """
    if not math.isfinite(x):
        raise errors.ParameterError(f"{x} cannot be encoded: a real is finite")
    return _DOUBLE.pack(x + 0.0)


def from_real(data: bytes) -> float:
    """Return the real that 8 bytes encode.

    Raises:
        CodecError: not 8 bytes (rule 3.3-6); a NaN, an infinity or -0 (rule 3.3-5).
    """
    # Not through errors.require: there is no number to go on with.
    if len(data) != REAL_SIZE:
        raise errors.CodecError("3.3-6", f"a real has 8 bytes, not {len(data)}")
    x: float = _DOUBLE.unpack(data)[0]
    _require("3.3-5", math.isfinite(x), f"a real is {x}, not finite")
    _require("3.3-5", math.copysign(1.0, x) == 1.0 or x != 0.0, "a real is -0")
    return x


def _require(rule: str, condition: bool, detail: str) -> None:
    errors.require(rule, condition, detail, error=errors.CodecError)


def _encode(value: Value) -> bytes:
    """Return the shortest msgpack form, of foreign types too: `unpack` compares it."""
    packed: bytes = msgpack.packb(
        value, use_bin_type=True, unicode_errors="surrogateescape"
    )
    return packed


def _decode(data: bytes) -> tuple[Value, int]:
    """Return the first value in `data` and how many bytes follow it.

    Lengths that the bytes promise are bounded by the bytes there are, so that what is
    allocated is bounded by a multiple of ``len(data)``.
    """
    unpacker = msgpack.Unpacker(
        raw=False,
        use_list=False,
        strict_map_key=False,
        unicode_errors="surrogateescape",
        max_buffer_size=max(1, len(data)),
    )
    unpacker.feed(data)
    try:
        value = unpacker.unpack()
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        detail = f"not a msgpack value: {type(error).__name__}"
        raise errors.CodecError("3.3-2", detail) from None
    return value, len(data) - unpacker.tell()


def _plain(value: object) -> bool:
    """Return whether `value` is sure to be allowed; if not, ask what is wrong with it.

    Level by level, each in loops that the interpreter runs in C: a list of a thousand
    members takes a tenth of the time that one call a value takes.
    """
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if not kinds <= _PLAIN:
            return False
        texts = [v for v in level if type(v) is str] if str in kinds else []
        numbers = [v for v in level if type(v) is int] if int in kinds else []
        ranged = not numbers or (min(numbers) >= _INT_MIN and max(numbers) < _INT_END)
        if not (ranged and all(map(str.isascii, texts))):
            return False
        if not kinds & _ARRAYS:
            return True
        arrays = level if kinds <= _ARRAYS else [v for v in level if type(v) in _ARRAYS]
        level = list(itertools.chain.from_iterable(arrays))
    return False


def _depth(value: object) -> int:
    """Return how deep arrays nest, or `MAX_DEPTH` + 1 if deeper."""
    level: list[object] = [value]
    for depth in range(MAX_DEPTH + 1):
        arrays = [item for item in level if isinstance(item, (list, tuple))]
        if not arrays:
            return depth
        level = [item for array in arrays for item in array]
    return MAX_DEPTH + 1


def _foreign(value: object) -> str | None:
    """Return what in `value` is not allowed, in words, or None."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        found = (_foreign(item) for item in value)
        return next((words for words in found if words is not None), None)
    if isinstance(value, str):
        return None if value.isascii() else "text that is not ASCII"
    if isinstance(value, int) and not isinstance(value, bool):
        return None if _INT_MIN <= value < _INT_END else "integer beyond 64 bits"
    if value is None or type(value) is bytes:
        return None
    return f"value of type {type(value).__name__}"
