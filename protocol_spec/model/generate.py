"""Write every vector file: ``python -m protocol_spec.model.generate [FOLDER]``.

The files depend on nothing but this package: the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial

from protocol_spec.model import (
    bad_manifests,
    bad_sparse,
    bad_to_client,
    bad_to_server,
)
from protocol_spec.model.bad_connections import connections, rosters
from protocol_spec.model.bad_elsewhere import all_elsewhere
from protocol_spec.model.cohort import Cohort
from protocol_spec.model.curves import all_curves
from protocol_spec.model.encodings import all_encodings
from protocol_spec.model.graphs import all_graphs
from protocol_spec.model.messages import Body
from protocol_spec.model.numbers import all_numbers
from protocol_spec.model.primitives import all_primitives
from protocol_spec.model.sessions import (
    COHORTS,
    cohort_sessions,
    sparse_sessions,
    special_sessions,
)
from protocol_spec.model.twins import twin_json

FOLDER = pathlib.Path(__file__).parent.parent / "vectors" / "v1"
Files = Iterator[tuple[str, Body]]
"""(name without .json, content)"""

FLAT_ARRAY = re.compile(r"\[[^][{}]+\]")


def _outside() -> Files:
    """Rosters, connections, histories, uploads, released vectors."""
    cohort = Cohort("bad", 4, 1, snap=True).run()
    yield from all_elsewhere(cohort)
    yield from rosters()
    yield from connections(cohort)


def _twins() -> Files:
    """The negative twins of sessions."""
    cohort = Cohort("bad", 4, 1, snap=True).run()
    yield from bad_manifests.all_bad_manifests(cohort)
    for twin in (*bad_to_client.twins(cohort), *bad_to_server.twins(cohort)):
        yield twin.name, twin_json(cohort, twin)
    for ended, twin in bad_to_server.aborts():
        yield twin.name, twin_json(ended, twin)


def _sparse_twins() -> Files:
    """The negative twins of the regular graph."""
    cohort = bad_sparse.honest_cohort()
    for twin in bad_sparse.twins(cohort):
        yield twin.name, twin_json(cohort, twin)
    for other, twin in (*bad_sparse.aborts(), bad_sparse.thin_u3()):
        yield twin.name, twin_json(other, twin)


PARTS: dict[str, Callable[[], Files]] = {
    "primitives": all_primitives,
    "curves": all_curves,
    "encodings": all_encodings,
    "numbers": all_numbers,
    "graphs": all_graphs,
    "outside sessions": _outside,
    "negative twins": _twins,
    "special sessions": special_sessions,
    "sparse sessions": sparse_sessions,
    "sparse twins": _sparse_twins,
    **{
        f"sessions n = {n}, c = {c}": partial(cohort_sessions, n, c) for n, c in COHORTS
    },
}
"""What makes the files, part by part."""


def text_of(content: Body) -> str:
    """The bytes of a file: JSON in the order of writing, flat arrays on one line."""
    text = json.dumps(content, indent=1, ensure_ascii=True)
    return FLAT_ARRAY.sub(lambda found: " ".join(found[0].split()), text) + "\n"


def generate(folder: pathlib.Path) -> None:
    """Write all files and their index; remove what no longer belongs."""
    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, dict[str, str]] = {}
    for part, make in PARTS.items():
        index[part] = {}
        for name, content in make():
            index[part][name] = _write(folder / f"{name}.json", text_of(content))
    _write(folder / "index.json", text_of(index))
    kept = {f"{name}.json" for names in index.values() for name in names}
    for path in folder.glob("*.json"):
        if path.name not in {*kept, "index.json"}:
            path.unlink()


def _write(path: pathlib.Path, text: str) -> str:
    """Write a file; return its SHA-256."""
    path.write_text(text, encoding="ascii", newline="\n")
    return hashlib.sha256(text.encode("ascii")).hexdigest()


if __name__ == "__main__":
    generate(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
