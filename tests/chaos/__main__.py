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
from tests.chaos.figures import Figures
from tests.chaos.run import Database, no_database, run
from tests.postgres import NoServerError, running_server

LIMIT_SECONDS = 20 * 60.0


@contextlib.contextmanager
def databases(journal: str) -> Iterator[Database]:
    """Yield what makes a journal for each world; a server ends with the run.

    Raises:
        NoServerError: there is no server here.
    """
    if journal == figures.SQLITE:
        yield no_database
        return
    with running_server() as server:
        yield lambda: DatabaseUrl(server.database())


def main(arguments: list[str]) -> None:
    """Run chaos; keep the figures of a run that is long enough.

    Raises:
        SystemExit: there is no server for the journal; says what is missing.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--sessions", type=int, default=figures.ENOUGH)
    parser.add_argument("--journal", choices=figures.JOURNALS, default=figures.SQLITE)
    parser.add_argument("--folder", type=Path, help="keep what the parties wrote")
    parser.add_argument("--no-table", action="store_true", help="print alone")
    asked = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        found = played(asked, console)
    except NoServerError as error:
        parser.exit(1, f"error: {error}\n")
    console.print(figures.markdown([found]))
    if found.sessions >= figures.ENOUGH and not asked.no_table:
        figures.save(figures.KEPT, found)
        figures.show(figures.SHOWN, figures.load(figures.KEPT))


def played(asked: argparse.Namespace, console: Console) -> Figures:
    """Run what was asked for, or say how to run it again."""
    with databases(asked.journal) as database:
        folder = asked.folder or Path(tempfile.mkdtemp(prefix="secagg-chaos-"))
        here = this_machine()
        console.print(f"what the parties write is in {folder}")
        try:
            found = run(
                asked.seed,
                asked.sessions,
                folder,
                told=console.print,
                database=database,
                limit_seconds=LIMIT_SECONDS,
                journal=asked.journal,
                machine=f"{here.cpu}, {here.cores} cores",
                day=datetime.datetime.now(datetime.UTC).date().isoformat(),
            )
        except Exception:
            again = figures.command(asked.seed, asked.sessions, asked.journal)
            console.print(f"the same plan again: {again}")
            raise
    if asked.folder is None:
        shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
