"""Write messages.schema.json: ``python -m protocol_spec.model.schema [FILE]``.

One definition a message, in the order of the spec, each an array of its fields.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

from protocol_spec.model.envelope import SHAPE
from protocol_spec.model.messages import FIELDS, HEADERS

FILE = pathlib.Path(__file__).parent.parent / "messages.schema.json"
ABOUT = (
    "Bodies of secagg/1 as arrays of their fields (spec 3.7, 4, 8). A byte string is "
    "base16 text, a real its 8 bytes, little endian. The limit of a body is "
    "x-limit + x-limit-per-member * n bytes of its canonical encoding (rule 3.3-1)."
)


def schema() -> dict[str, Any]:
    """The whole schema; a value may be any message, `$defs` has each by its type."""
    defs: dict[str, Any] = {"Envelope": _titled("Envelope", SHAPE.schema())}
    for kind, shape in FIELDS.items():
        header = HEADERS[kind]
        limits = {
            "x-transcript": header.transcript,
            "x-to-all": header.to_all,
            "x-limit": header.base,
            "x-limit-per-member": header.per_member,
        }
        defs[kind] = _titled(kind, {**limits, **shape.schema()})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of secagg/1",
        "description": ABOUT,
        "anyOf": [{"$ref": f"#/$defs/{kind}"} for kind in defs],
        "$defs": defs,
    }


def _titled(title: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, **content}


def text() -> str:
    """The bytes of the file."""
    return json.dumps(schema(), indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    path.write_text(text(), encoding="ascii", newline="\n")
