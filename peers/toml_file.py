"""A configuration file in TOML, read against a model, and mistakes told in full.

Every mistake is one line: the file, the line in it, the key, what is wrong and what to
write instead. All of them come at once, for nobody likes to find them one by one.
"""

from __future__ import annotations

import collections
import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from peers import text_file

M = TypeVar("M", bound=BaseModel)
Place = tuple[int | str, ...]

_TABLE: Final = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]")
_ASSIGNED: Final = re.compile(r"""^\s*["']?([A-Za-z0-9_-]+)["']?\s*[.=]""")
_WANTED: Final = {"model_type": "a table", "tuple_type": "a list, [..., ...]"}


class ConfigError(Exception):
    """The configuration cannot be used; one line per mistake, with its remedy."""


def read_config(path: Path, model: type[M], *, example: str) -> M:
    """Read a file of `model`.

    Args:
        path: the file; paths in it are relative to its folder.
        model: what it must say.
        example: how to get a first file, for whoever has none.

    Raises:
        ConfigError: no such file, no TOML, or keys that are wrong.
    """
    text = text_file.read(path, example, ConfigError)
    try:
        value = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # TOML's own error is a ValueError; so is a number of thousands of digits.
        raise ConfigError(
            f"{path}: not TOML: {error}; texts are written in quotes, tables as [table]"
        ) from None
    try:
        return model.model_validate(value, context={"folder": path.parent})
    except ValidationError as error:
        lines = [_told(path, text, model, problem) for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def line_of(text: str, place: Sequence[int | str]) -> int | None:
    """Return the line, from 1, on which `place` or what holds it is set."""
    lines: dict[Place, int] = {}
    for number, here in _places(text):
        lines.setdefault(here, number)
    kept = (tuple(place[:length]) for length in range(len(place), 0, -1))
    return next((lines[prefix] for prefix in kept if prefix in lines), None)


def _places(text: str) -> Iterator[tuple[int, Place]]:
    """Yield the line and the place of every table and key; values are not looked at."""
    table: Place = ()
    counts: collections.Counter[Place] = collections.Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        header, key = _TABLE.match(line), _ASSIGNED.match(line)
        if header:
            table = tuple(part.strip(" \"'") for part in header[2].split("."))
            if header[1] == "[[":
                counts[table] += 1
                table = (*table, counts[table] - 1)
            yield number, table
        elif key:
            yield number, (*table, key[1])


def _told(path: Path, text: str, model: type[BaseModel], problem: ErrorDetails) -> str:
    place = problem["loc"]
    line = line_of(text, place)
    where = f"{path}, line {line}" if line is not None else str(path)
    key = ".".join(str(part) for part in place)
    told = _explained(model, place, problem)
    return f"{where}: {key}: {told}" if key else f"{where}: {told}"


def _explained(model: type[BaseModel], place: Place, problem: ErrorDetails) -> str:
    kind, message = problem["type"], problem["msg"]
    field = _field_at(model, place)
    meant = f" ({field.description})" if field and field.description else ""
    if kind == "missing":
        return f"this key is missing{meant}"
    if kind == "extra_forbidden":
        return _unknown(model, place)
    if kind.startswith(("value_error", "secagg_")):
        return message.removeprefix("Value error, ")
    if kind == "string_pattern_mismatch" and field:
        return f"{_shown(problem['input'])} is not {field.description}"
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}, not {_shown(problem['input'])}{meant}"
    wanted = message.replace("Input should be", "must be", 1)
    return f"{wanted}, not {_shown(problem['input'])}{meant}"


def _unknown(model: type[BaseModel], place: Place) -> str:
    parent = _model_at(model, place[:-1])
    known = sorted(_keys(parent)) if parent else []
    near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
    if near:
        return f"unknown key; did you mean {near[0]!r}?"
    return f"unknown key; known here: {', '.join(known)}"


def _keys(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _field_at(model: type[BaseModel], place: Place) -> FieldInfo | None:
    names = [part for part in place if isinstance(part, str)]
    parent = _model_at(model, tuple(names[:-1]))
    return _keys(parent).get(names[-1]) if parent and names else None


def _model_at(model: type[BaseModel], place: Place) -> type[BaseModel] | None:
    here: type[BaseModel] | None = model
    for name in place:
        if isinstance(name, int) or here is None:
            continue
        info = _keys(here).get(name)
        here = _model_in(info.annotation) if info else None
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in ``Model``, ``Model | None`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"the text {value!r}" if isinstance(value, str) else repr(value)
