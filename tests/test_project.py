"""The repository as a whole: each module has its test file; no file names a machine."""

import pathlib
import re
import subprocess

import pytest

import secagg

ROOT = pathlib.Path(__file__).parent.parent
# Written in halves, so that this file passes its own test.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")
HOME_PATH = re.compile(r"(?<![\w.~-])/(ho" r"me|ro" r"ot|wo" r"rk|Us" r"ers)/[\w.]")


def tracked(folder: str = ".") -> list[pathlib.PurePosixPath]:
    """The tracked files under `folder` that are in the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = [pathlib.PurePosixPath(p) for p in listed.stdout.split("\0") if p]
    return [path for path in paths if (ROOT / path).is_file()]


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    """Say where tracked text matches `pattern`, as path and line number."""
    found = []
    for path in tracked():
        text = (ROOT / path).read_text(encoding="utf-8", errors="ignore")
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path}:{number}")
    return found


def unit_test_of(module: pathlib.PurePosixPath) -> pathlib.Path:
    """The test file that mirrors a module of the library."""
    folder = ROOT / "tests" / "unit" / module.parent.relative_to("secagg")
    return folder / f"test_{module.name}"


def test_every_module_of_the_library_has_its_unit_test_file() -> None:
    modules = [p for p in tracked("secagg") if p.suffix == ".py"]
    bare = [m for m in modules if m.name != "__init__.py"]
    assert bare
    assert [str(m) for m in bare if not unit_test_of(m).is_file()] == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert lines_matching(HOME_PATH) == []


def test_no_file_carries_a_note_of_unfinished_work() -> None:
    assert lines_matching(UNFINISHED) == []


@pytest.mark.parametrize("folder", ["home", "root", "work", "Users"])
@pytest.mark.parametrize("before", ["see ", '"', "=", ""])
def test_a_path_of_a_home_or_work_folder_is_recognised(folder, before) -> None:
    assert HOME_PATH.search(f"{before}/{folder}/a")


@pytest.mark.parametrize(
    "text", ["at-work/b", "https://x.org/home/y", "w/o work", "./"]
)
def test_other_paths_are_left_alone(text) -> None:
    assert not HOME_PATH.search(text)


def test_the_version_is_the_one_in_pyproject() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{secagg.__version__}"\n' in declared
