"""JSON files that people read: the roster and an identity.

Read strictly, since such a file is edited and mailed about: every field once and of its
type, nothing besides, bytes as lower-case hexadecimal digits. Knows no key and no rule.
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from secagg import errors

T = TypeVar("T")


def write(format_: str, fields: Mapping[str, Any]) -> str:
    """Return the text of a file that calls itself `format_`."""
    return json.dumps({"format": format_, **fields}, indent=2) + "\n"


def read(where: str, text: str, format_: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a file that `write` wrote.

    Args:
        where: what the file is, for the errors: ``the roster``.
        text: the file.
        format_: what it must call itself.
        names: the fields it must have besides.

    Raises:
        ParameterError: not JSON, another format, or other fields.
    """
    value = _parse(where, text)
    format_found = value.get("format") if isinstance(value, dict) else None
    if format_found != format_:
        raise errors.ParameterError(
            f'{where} must say "format": "{format_}", not {format_found!r}: it is'
            " another kind of file, or one for another version of secagg"
        )
    return fields(where, value, ("format", *names))


def fields(where: str, value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return `value`, an object with exactly the fields `names`.

    Raises:
        ParameterError: it is not.
    """
    if not isinstance(value, dict) or set(value) != set(names):
        raise errors.ParameterError(
            f"{where} must have exactly the fields {', '.join(names)}"
        )
    return value


def typed(where: str, value: Any, kind: type[T]) -> T:
    """Return `value`, whose type is exactly `kind`: true is no number.

    Raises:
        ParameterError: it has another type.
    """
    if type(value) is not kind:
        raise errors.ParameterError(
            f"{where} is of type {type(value).__name__}, not {kind.__name__}"
        )
    return value


def blob(where: str, value: Any, size: int) -> bytes:
    """Return the bytes that `value` spells.

    Raises:
        ParameterError: not `size` bytes in lower-case hexadecimal digits. The value is
            not shown, for it may be a secret.
    """
    digits = re.compile(f"[0-9a-f]{{{2 * size}}}")
    if not (isinstance(value, str) and digits.fullmatch(value)):
        raise errors.ParameterError(
            f"{where} is not {2 * size} hexadecimal digits, lower case"
        )
    return bytes.fromhex(value)


def _parse(where: str, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise errors.ParameterError(f"{where} is not JSON: {error}") from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, or arrays in arrays.
        raise errors.ParameterError(f"{where} is not JSON of its kind") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a field given twice: people read the first, parsers the last."""
    counts = collections.Counter(name for name, _ in pairs)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise errors.ParameterError(f"the field {twice[0]!r} is given twice")
    return dict(pairs)
