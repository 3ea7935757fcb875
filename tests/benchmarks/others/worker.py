"""Drives the other libraries in an environment of their own.

Runs under ``.venv-peers``, whose versions are in ``peers.txt``. Takes one request a
line, answers one line of JSON each, and times its work itself, so that what passes
between the processes is in no figure.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from tests.benchmarks.others.ckks import Ckks
from tests.benchmarks.others.flower import Flower

KINDS: Mapping[str, Any] = {"flower": Flower, "ckks": Ckks}


def main() -> None:
    """Answer requests until the input ends."""
    # What the libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    cohorts: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _answer(cohorts, **request)
        except Exception:  # noqa: BLE001  told to the other side, which raises it
            answer = {"failed": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(
    cohorts: dict[str, Any], *, kind: str, call: str, given: dict[str, Any]
) -> dict[str, Any]:
    if call == "open":
        cohorts[kind] = KINDS[kind](**given)
        return {}
    if call == "close":
        del cohorts[kind]
        return {}
    answer: dict[str, Any] = getattr(cohorts[kind], call)(**given)
    return answer


if __name__ == "__main__":
    main()
