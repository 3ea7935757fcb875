"""``make bench``: every row is a ratio inside one interleaved run.

``make bench ONLY=engine`` runs one group; several are separated by spaces. Results are
merged by group into `results/results.json`; the pictures, `rows.md` and the README's
table are then made from that file. Goals stand beside the figures and are never tested.

Results of another machine, one with a GPU, are brought in with ``--merge FOLDER``.

To add a group, write a module with a frozen dataclass of its sizes, whose defaults are
the full ones, a `TOY` of it that ends in a second or two, and a function from sizes to
rows; then name it in `GROUPS`. The tests run every group of that table at toy size.
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from rich.console import Console

from tests.benchmarks import (
    bonawitz,
    client,
    engine,
    figures,
    gpu,
    growth,
    large,
    sizes,
    table,
    thousand,
    unmasking,
    upload,
)
from tests.benchmarks.machine import this_commit, this_machine
from tests.benchmarks.others import group as others
from tests.benchmarks.others.remote import missing as others_missing
from tests.benchmarks.results import KEPT, ROOT, GroupResult, Results, load, save
from tests.benchmarks.rows import Row


@dataclass(frozen=True, slots=True)
class Group:
    """One group of rows.

    Attributes:
        run: from sizes to rows.
        full: the sizes of `make bench`.
        toy: sizes that end in a second or two.
        missing: says why this group cannot be measured here in full; empty if it can.
        accelerator: the name of the GPU it is measured on; empty for the CPU.
    """

    run: Callable[[Any], Iterable[Row]]
    full: Any
    toy: Any
    missing: Callable[[], str] = str
    accelerator: Callable[[], str] = str


GROUPS: Final[Mapping[str, Group]] = MappingProxyType(
    {
        "engine": Group(engine.run, engine.Sizes(), engine.TOY),
        "client": Group(client.run, client.Sizes(), client.TOY),
        "sizes": Group(sizes.run, sizes.Sizes(), sizes.TOY),
        "growth": Group(growth.run, growth.Sizes(), growth.TOY),
        "upload": Group(upload.run, upload.Sizes(), upload.TOY),
        "thousand": Group(thousand.run, thousand.Sizes(), thousand.TOY),
        "large": Group(large.run, large.Sizes(), large.TOY, large.missing),
        "bonawitz": Group(bonawitz.run, bonawitz.Sizes(), bonawitz.TOY),
        "unmasking": Group(unmasking.run, unmasking.Sizes(), unmasking.TOY),
        "gpu": Group(gpu.run, gpu.Sizes(), gpu.TOY, gpu.missing, gpu.accelerator),
        "others": Group(others.run, others.Sizes(), others.TOY, others_missing),
    }
)
"""The groups in the order in which they run."""


def measure(name: str, *, toy: bool = False) -> GroupResult:
    """Run one group."""
    group = GROUPS[name]
    began = time.perf_counter()
    rows = tuple(group.run(group.toy if toy else group.full))
    return GroupResult(
        machine=this_machine(group.accelerator()),
        commit=this_commit(),
        day=datetime.datetime.now(datetime.UTC).date().isoformat(),
        command=f"make bench ONLY={name}",
        seconds=round(time.perf_counter() - began, 1),
        rows=rows,
    )


def keep(folder: Path, found: Results) -> None:
    """Merge results into those in `folder`, in the order of `GROUPS`."""
    merged = {**load(folder), **found}
    save(folder, {name: merged[name] for name in GROUPS if name in merged})


def write(folder: Path, *, readme: Path | None) -> None:
    """Make all that is made from the results in `folder`."""
    results = load(folder)
    page = table.full_markdown(results)
    (folder / "rows.md").write_text(page, encoding="utf-8")
    figures.draw(results, folder)
    if readme is not None:
        table.write_readme(readme, results)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the groups asked for, print their rows, and keep them."""
    asked = _parser().parse_args(arguments)
    # A pipe has no width: wide enough that a row is a line or two.
    console = Console() if Console().is_terminal else Console(width=160)
    if asked.merge is not None:
        keep(asked.results, load(asked.merge))
    chosen = asked.only or ([] if asked.merge else list(GROUPS))
    for name in chosen:
        why = GROUPS[name].missing()
        if why:
            console.print(f"{name}: not measured here, {why}", style="yellow")
            continue
        found = measure(name, toy=asked.toy)
        table.print_group(console, name, found)
        keep(asked.results, {name: found})
    kept = asked.results == KEPT
    write(asked.results, readme=ROOT / "README.md" if kept else None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(GROUPS), metavar="GROUP")
    parser.add_argument("--results", type=Path, default=KEPT, metavar="FOLDER")
    parser.add_argument(
        "--merge", type=Path, metavar="FOLDER", help="results of another machine"
    )
    parser.add_argument("--toy", action="store_true", help="seconds, and no meaning")
    return parser


if __name__ == "__main__":
    main()
