"""The kinds of values a configuration file holds: paths, entry points, keys, durations.

Each says what it must be and how to mend it; `peers.toml_file` adds file, line and key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

from secagg.drivers.wire.keepalive import LONGEST_SECONDS, SHORTEST_SECONDS

_POSTGRES: Final = re.compile(r"postgres(ql)?://")
_DIGITS: Final = re.compile(r"[0-9a-fA-F]{64}")
_ENTRY_POINT: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

WANTED_KEY: Final = (
    "must be the consortium's public key, 64 hexadecimal digits and not the template's"
    " zeros: ask the consortium for what `secagg identity show` prints of its key"
)


def _resolve(value: Any, info: ValidationInfo) -> Any:
    """Turn a text into a path below the file's folder."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("secagg_path", "must be a path, in quotes")
    folder = (info.context or {}).get("folder", Path())
    return Path(folder) / Path(value).expanduser()


def _existing(remedy: str) -> Callable[[Any, ValidationInfo], Any]:
    """Return a validator of a file that must be there; `remedy` says how to get it."""

    def check(value: Any, info: ValidationInfo) -> Any:
        path = _resolve(value, info)
        if path.is_file():
            return path
        near = _similar(path)
        hint = f" (there is {near})" if near else ""
        raise PydanticCustomError(
            "secagg_no_file",
            "there is no file {path}{hint}: check the path, or {remedy}",
            {"path": str(path), "hint": hint, "remedy": remedy},
        )

    return check


def _similar(path: Path) -> str | None:
    """Return the name in the same folder that differs by case or by the suffix."""
    if not path.parent.is_dir():
        return None
    wanted = path.stem.lower()
    names = sorted(p.name for p in path.parent.iterdir() if p.stem.lower() == wanted)
    return names[0] if names else None


def _entry_point(value: Any) -> Any:
    if not isinstance(value, str) or not _ENTRY_POINT.fullmatch(value):
        raise PydanticCustomError(
            "secagg_entry_point",
            "must be 'module:function', such as 'our_training:train'",
        )
    return value


def _spelled(value: Any) -> bytes | None:
    """Return the 32 bytes that 64 hexadecimal digits spell, if it is such."""
    if not isinstance(value, str) or not _DIGITS.fullmatch(value):
        return None
    return bytes.fromhex(value)


def key_of(value: Any) -> bytes | None:
    """Return the public key that a text spells; None for the templates' zeros too."""
    found = _spelled(value)
    return found if found and any(found) else None


def _key_bytes(value: Any) -> Any:
    found = key_of(value)
    if found is None:
        raise PydanticCustomError("secagg_key", WANTED_KEY)
    return found


def _digest(value: Any) -> Any:
    found = _spelled(value)
    if found is None:
        raise PydanticCustomError(
            "secagg_digest",
            "must be a SHA-256, 64 hexadecimal digits, as `sha256sum` prints it",
        )
    return found


def listed(value: Any) -> Any:
    """Return a list of TOML as the tuple that the models hold."""
    return tuple(value) if isinstance(value, list) else value


def _journal_url(value: Any) -> Any:
    """Refuse what is no URL; what was written instead may hold a password."""
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str) or not _POSTGRES.match(value):
        raise PydanticCustomError(
            "secagg_journal",
            "must be postgresql://user@host:5432/name?sslmode=verify-full; leave"
            " [journal] out to keep the journal in the state folder",
        )
    return SecretStr(value)


SomePath = Annotated[Path, BeforeValidator(_resolve)]
IdentityFile = Annotated[
    Path, BeforeValidator(_existing("make one with `secagg identity new`"))
]
RosterFile = Annotated[
    Path, BeforeValidator(_existing("get the signed roster from the consortium"))
]
PemFile = Annotated[
    Path, BeforeValidator(_existing("leave [tls] out to use the roster's identities"))
]
ModelFile = Annotated[
    Path, BeforeValidator(_existing("give `factory = 'module:function'` instead"))
]
EntryPoint = Annotated[str, BeforeValidator(_entry_point)]
PublicKey = Annotated[bytes, BeforeValidator(_key_bytes)]
Digest = Annotated[bytes, BeforeValidator(_digest)]
JournalUrl = Annotated[SecretStr, BeforeValidator(_journal_url)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Keepalive = Annotated[float, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS)]
Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
