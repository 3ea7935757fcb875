"""Write every vector file: ``python -m protocol_spec.model.generate [FOLDER]``.

The files depend on nothing but this package: the same bytes on every machine.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
from collections.abc import Iterator

from protocol_spec.model.messages import Body
from protocol_spec.model.sessions import all_sessions

FOLDER = pathlib.Path(__file__).parent.parent / "vectors" / "v1"
FLAT_ARRAY = re.compile(r"\[[^][{}]+\]")


def all_files() -> Iterator[tuple[str, Body]]:
    """Every file: (name without .json, content)."""
    yield from all_sessions()


def text_of(content: Body) -> str:
    """The bytes of a file: JSON in the order of writing, flat arrays on one line."""
    text = json.dumps(content, indent=1, ensure_ascii=True)
    return FLAT_ARRAY.sub(lambda found: " ".join(found[0].split()), text) + "\n"


def generate(folder: pathlib.Path) -> None:
    """Write all files, and remove those that no longer belong."""
    folder.mkdir(parents=True, exist_ok=True)
    written = set()
    for name, content in all_files():
        path = folder / f"{name}.json"
        path.write_text(text_of(content), encoding="ascii", newline="\n")
        written.add(path)
    for path in set(folder.glob("*.json")) - written:
        path.unlink()


if __name__ == "__main__":
    generate(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
