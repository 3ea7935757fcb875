"""Coverage-guided fuzzing of every decoder (``make fuzz``).

``python -m tests.fuzz.run`` fuzzes each target for FUZZ_SECONDS (60), from the kept
corpus and the seeds, and fails if one is broken; ``--keep`` then adds to the corpus
what reached something new. ``python -m tests.fuzz.run TARGET ...`` is one such process,
with libFuzzer's own arguments. Needs atheris, in an environment of its own.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
CORPUS = HERE / "corpus"
WORK = HERE.parents[1] / ".fuzz"
LARGEST = 4096
"""Bytes of an input; nothing here needs more to go wrong."""

MEMORY_MB = 1024
INPUT_SECONDS = 5


def one(target: str, arguments: list[str]) -> None:
    """Fuzz one target in this process."""
    import atheris

    with atheris.instrument_imports(include=["secagg", "peers"]):
        from tests.fuzz import targets

    atheris.Setup([target, *arguments], lambda data: targets.attempt(target, data))
    atheris.Fuzz()


def write_seeds(target: str) -> pathlib.Path:
    """Put the seeds of a target into a folder."""
    from tests.fuzz.seeds import seeds

    return _written(WORK / "seeds" / target, seeds(target))


def _written(folder: pathlib.Path, inputs: list[bytes]) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return folder


def _fuzzed(target: str, seconds: int) -> bool:
    found = _written(WORK / "found" / target, [])
    return _process(
        target,
        f"-max_total_time={seconds}",
        f"-artifact_prefix={WORK}/{target}-",
        str(found),
        str(write_seeds(target)),
        str(_written(CORPUS / target, [])),
    )


def _keep(target: str) -> None:
    """Add what was found to the corpus: each input reached what none before it did."""
    found = sorted((WORK / "found" / target).iterdir())
    _written(CORPUS / target, [path.read_bytes() for path in found])


def _process(target: str, *arguments: str) -> bool:
    limits = (
        f"-max_len={LARGEST}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={INPUT_SECONDS}",
        "-verbosity=0",
        "-print_final_stats=1",
    )
    command = [sys.executable, "-m", "tests.fuzz.run", target, *limits, *arguments]
    return subprocess.run(command, check=False).returncode == 0


def main(arguments: list[str]) -> int:
    """Fuzz every target in turn; return 1 if one is broken."""
    from tests.fuzz.targets import TARGETS

    seconds = int(os.environ.get("FUZZ_SECONDS", "60"))
    chosen = os.environ.get("ONLY", "").split() or [*TARGETS]
    broken = [target for target in chosen if not _fuzzed(target, seconds)]
    if "--keep" in arguments:
        for target in chosen:
            _keep(target)
    sys.stdout.write(f"broken: {', '.join(broken) or 'none'}\n")
    return min(len(broken), 1)


if __name__ == "__main__":
    if sys.argv[1:] and not sys.argv[1].startswith("-"):
        one(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1:]))
