"""Vectors of the canonical encoding (spec 3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from protocol_spec.model.encoding import pack, real, unpack
from protocol_spec.model.messages import Body
from protocol_spec.model.primitives import kinds
from protocol_spec.model.twins import judged

LIMIT = 2**20


def all_encodings() -> Iterator[tuple[str, Body]]:
    """Every file of this module: (name, content)."""
    yield from kinds((encodings, bad_encodings))


INTEGERS = (
    *(0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1),
    *(-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)),
)


def encodings() -> tuple[str, Body]:
    """Values and their one form; bytes are written {"bytes": hex} (spec 3.3)."""
    values: list[Any] = [None, *INTEGERS, "", "a", "a" * 31, "a" * 32, "a" * 256]
    values += [b"", b"a", bytes(255), bytes(256), [], [None], [[1, ["x"]], b"\x00"]]
    values += [[0] * 15, [0] * 16, [[[[[[[[]]]]]]]]]
    cases = [{"value": _tagged(value), "canon": pack(value).hex()} for value in values]
    reals = (0.0, 1.0, -1.5, 0.1, 1e300, 2.0**-1074)
    pairs = [{"real": repr(value), "bytes": real(value).hex()} for value in reals]
    return "encoding", {"cases": cases, "reals": pairs}


def _tagged(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return [_tagged(item) for item in value] if isinstance(value, list) else value


def bad_encodings() -> tuple[str, Body]:
    """Bytes that no party accepts, whatever the type (rules 3.3-2 to 3.3-4)."""
    bad = {
        "3.3-2": "c1 c0c0 91 a1 c402aa 9201 ce0000 91919191919191919190 dc0001",
        "3.3-3": "80 81a0c0 de0000 c2 c3 ca00000000 cb0000000000000000 d40100"
        " c70000 d6ffffffffff a2c3a9",
        "3.3-4": "cc01 cd0080 ce00000100 cf0000000000000001 d0ff d1ff80 d001 d900"
        " da000161 db0000000161 c50000 c600000000 dc0000 dd00000000 91cc7f",
    }
    cases = []
    for rule, texts in bad.items():
        for text in texts.split():
            data = bytes.fromhex(text)
            refuse = judged(rule, "c s", partial(unpack, data, LIMIT))
            cases.append({"data": text, "refuse": refuse})
    return "encoding_bad_bytes", {"cases": cases}
