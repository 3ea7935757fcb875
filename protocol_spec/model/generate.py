"""Write every vector file: ``python -m protocol_spec.model.generate [FOLDER]``.

The files depend on nothing but this package: the same bytes on every machine.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
from collections.abc import Iterator

from protocol_spec.model import bad_manifests, bad_to_client, bad_to_server
from protocol_spec.model.bad_connections import connections, rosters
from protocol_spec.model.bad_elsewhere import all_elsewhere
from protocol_spec.model.cohort import Cohort
from protocol_spec.model.curves import all_curves
from protocol_spec.model.encodings import all_encodings
from protocol_spec.model.messages import Body
from protocol_spec.model.numbers import all_numbers
from protocol_spec.model.primitives import all_primitives
from protocol_spec.model.sessions import all_sessions
from protocol_spec.model.twins import twin_json

FOLDER = pathlib.Path(__file__).parent.parent / "vectors" / "v1"
FLAT_ARRAY = re.compile(r"\[[^][{}]+\]")


def all_files() -> Iterator[tuple[str, Body]]:
    """Every file: (name without .json, content)."""
    yield from all_primitives()
    yield from all_curves()
    yield from all_encodings()
    yield from all_numbers()
    yield from all_twins()
    yield from all_sessions()


def all_twins() -> Iterator[tuple[str, Body]]:
    """The negative twins of whole sessions, and what is outside sessions."""
    cohort = Cohort("bad", 4, 1, snap=True).run()
    yield from all_elsewhere(cohort)
    yield from rosters()
    yield from connections(cohort)
    yield from bad_manifests.all_bad_manifests(cohort)
    for twin in (*bad_to_client.twins(cohort), *bad_to_server.twins(cohort)):
        yield twin.name, twin_json(cohort, twin)
    for ended, twin in bad_to_server.aborts():
        yield twin.name, twin_json(ended, twin)


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
