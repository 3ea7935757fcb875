"""The Promela models, run by Spin: which runs must hold, and which must not.

``make spin`` runs the larger ones too and prints how many states there were;
`tests.spec.test_promela` runs the small ones.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace

MODELS = pathlib.Path(__file__).parents[2] / "protocol_spec" / "promela"
TOOLS = ("spin", "gcc")


@dataclass(frozen=True)
class Run:
    """One model with its constants.

    Attributes:
        model: the file's stem.
        defines: such as ``N=7 R=1``.
        breaks: a part of the assertion that must fail; empty if none may.
        depth: of the search; a shallow one finds some counterexamples sooner.
        fair: the formula under weak fairness, instead of the assertions.
        optimise: compile for a long search.
    """

    model: str
    defines: str = ""
    breaks: str = ""
    depth: int = 1_000_000
    fair: bool = False
    optimise: bool = False

    def __str__(self) -> str:
        return f"{self.model} {self.defines}".strip()


P2 = "opened[1]"
FEW = "(n-size)>="
ANOTHER_SUM = "sums&(1<<update)"
ANOTHER_ADVERT = "adverts&"

SOUND = [
    Run("views", "N=4"),
    Run("views", "N=5 R=1"),
    Run("views", "N=6 R=2 CB=2"),
    Run("session", "N=4"),
    Run("session", "N=4 T=3"),
    Run("losses", "CUTS=1 RESTARTS=0"),
    Run("losses", "CUTS=0 RESTARTS=1"),
    Run("losses", "N=3 LOSSES=1 CLEAN_ABORT"),
    Run("attempts"),
    # One of the two is enough, as long as the disk is not put back.
    Run("attempts", "NO_4_1_3"),
]
"""Small worlds in which nothing may fail."""

BROKEN = [
    Run("views", "N=6 R=1 CB=1 ONLY_P2=1", P2),
    Run("views", "N=7 R=2 CB=2 ONLY_P2=1", P2),
    Run("views", "N=7 C=2 QN=5 ONLY_P2=1", P2),
    *(
        Run("views", f"N=4 ONLY_P2=1 NO_{rule}", P2)
        for rule in ("4_6_2", "4_6_3", "4_6_4", "4_6_5", "4_7_5", "9_1")
    ),
    Run("views", "N=4 NO_4_6_4", "votes[h3]"),
    Run("views", "N=4 NO_4_6_5", "votes[2]"),
    Run("session", "N=4 NO_4_2_1", FEW),
    Run("session", "N=4 NO_4_2_2", "known_b"),
    Run("session", "N=4 NO_4_5_3", FEW),
    Run("session", "N=4 NO_4_5_5", FEW),
    Run("losses", "LOSSES=2", "phase==6"),
    Run("losses", "SEALED_ANEW", "seen[i]==nonce[i]"),
    Run("losses", "ACTED_FIRST CUTS=0", "list[phase]", depth=100),
    Run("losses", "PUBLISHED_FIRST", "published==noise"),
    Run("losses", "SECRETS_KEPT LOSSES=2 CLEAN_ABORT", "secrets[i]"),
    Run("attempts", "NO_4_1_4", ANOTHER_SUM),
    Run("attempts", "NO_4_1_6", ANOTHER_ADVERT),
    Run("attempts", "NO_4_1_8", ANOTHER_SUM),
    Run("attempts", "MARKED_LATE", ANOTHER_SUM),
    Run("attempts", "KEYS_KEPT", "keys>highest"),
    Run("attempts", "OLD_COPIES=1", ANOTHER_SUM),
    Run("attempts", "OLD_COPIES=1 NO_4_1_3", ANOTHER_ADVERT),
]
"""Each lacks one thing, and must fail for it."""

LARGE = [
    Run("views", "N=7 C=1 R=1"),
    Run("views", "N=7 C=2"),
    Run("views", "N=10 C=3"),
    Run("session", "N=5"),
    Run("losses"),
    Run("losses", "LOSSES=2 CLEAN_ABORT"),
    Run("losses", "N=5"),
    Run("losses", "LTL RESTARTS=0", fair=True),
    Run("attempts", "KILLS=2 NONCES=4"),
]
"""What ``make spin`` runs besides."""


@dataclass(frozen=True)
class Report:
    """What Spin says: the states it stored, and the assertion that failed, if any."""

    states: int
    failed: str
    cut: bool


def missing() -> str:
    """The first of the tools that is not here, or nothing."""
    return next((tool for tool in TOOLS if shutil.which(tool) is None), "")


def check(run: Run) -> Report:
    """Search every state of a run."""
    flags = ["-DCOLLAPSE", "-DNFAIR=4"] if run.fair else ["-DCOLLAPSE", "-DSAFETY"]
    optimise = "-O2" if run.optimise else "-O0"
    search = ["-a", "-f"] if run.fair else []
    with tempfile.TemporaryDirectory() as folder:
        defines = [f"-D{define}" for define in run.defines.split()]
        _call(folder, "spin", *defines, "-a", str(MODELS / f"{run.model}.pml"))
        _call(folder, "gcc", optimise, "-w", *flags, "-o", "pan", "pan.c")
        said = _call(folder, "./pan", f"-m{run.depth}", *search)
    errors = re.search(r"errors: (\d+)", said)
    stored = re.search(r"(\d+) states, stored", said)
    assert errors is not None, said
    assert stored is not None, said
    failed = re.search(r"pan:1: (.*)", said)
    assert (failed is not None) == (errors[1] != "0"), said
    cut = "max search depth too small" in said
    return Report(int(stored[1]), failed[1] if failed else "", cut)


def _call(folder: str, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def main() -> int:
    """Print each run with its states, and whether it ended as it must."""
    wrong = 0
    for run in [*SOUND, *LARGE, *BROKEN]:
        report = check(replace(run, optimise=not run.breaks))
        right = run.breaks in report.failed if run.breaks else not report.failed
        wrong += not right
        verdict = "fails, as it must" if run.breaks else "holds"
        said = verdict if right else "WRONG"
        sys.stdout.write(f"{run!s:50} {report.states:>10,} states  {said}\n")
        sys.stdout.flush()
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
