"""``python -m tests.chaos --seed 7 --sessions 200``: run, judge, print, keep."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from secagg.drivers.postgres import DatabaseUrl
from tests.benchmarks.machine import this_machine
from tests.chaos import figures
from tests.chaos.run import Database, no_database, run
from tests.postgres import running_server

LIMIT_SECONDS = 20 * 60.0
JOURNALS = ("sqlite", "postgresql")


@contextlib.contextmanager
def databases(journal: str) -> Iterator[Database]:
    """Yield what makes a journal for each world; a server ends with the run."""
    if journal == "sqlite":
        yield no_database
        return
    with running_server() as server:
        yield lambda: DatabaseUrl(server.database())


def main(arguments: list[str]) -> None:
    """Run chaos; keep the figures of a run that is long enough."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--sessions", type=int, default=figures.ENOUGH)
    parser.add_argument("--journal", choices=JOURNALS, default=JOURNALS[0])
    parser.add_argument("--folder", type=Path, help="keep what the parties wrote")
    parser.add_argument("--no-table", action="store_true", help="print alone")
    asked = parser.parse_args(arguments)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="secagg-chaos-"))
    here, console = this_machine(), Console(highlight=False, soft_wrap=True)
    console.print(f"what the parties write is in {folder}")
    with databases(asked.journal) as database:
        found = run(
            asked.seed,
            asked.sessions,
            folder,
            told=console.print,
            database=database,
            limit_seconds=LIMIT_SECONDS,
            machine=f"{here.cpu}, {here.cores} cores",
            day=datetime.datetime.now(datetime.UTC).date().isoformat(),
        )
    console.print(figures.markdown(found))
    kept = asked.journal == JOURNALS[0] and not asked.no_table
    if found.sessions >= figures.ENOUGH and kept:
        figures.save(figures.KEPT, found)
        figures.show(figures.SHOWN, found)
    if asked.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
