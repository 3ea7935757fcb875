"""The benchmarks run, at sizes that take no time, and the README shows what is kept.

No time is asserted: what is tested is that every group still measures what it says.
"""

import pytest

from tests.benchmarks import bench, table
from tests.benchmarks.results import KEPT, ROOT, load, save


@pytest.mark.usefixtures("fast_interpreter")
@pytest.mark.parametrize("name", list(bench.GROUPS))
def test_every_group_runs_at_toy_size_and_its_rows_survive_json(name, tmp_path):
    found = bench.measure(name, toy=True)
    assert found.rows
    assert {row.group for row in found.rows} == {name}
    save(tmp_path, {name: found})
    assert load(tmp_path) == {name: found}


def test_a_row_has_a_name_of_its_own_in_what_is_kept():
    for found in load(KEPT).values():
        names = [row.name for row in found.rows]
        assert len(names) == len(set(names))


def test_the_readme_shows_the_kept_results_and_nothing_else():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert table.between_markers(text) == table.markdown(load(KEPT))


def test_the_page_of_all_rows_is_that_of_the_kept_results():
    page = (KEPT / "rows.md").read_text(encoding="utf-8")
    assert page == table.full_markdown(load(KEPT))


def test_groups_measured_one_after_another_are_kept_together(tmp_path):
    bench.main(["--toy", "--only", "sizes", "--results", str(tmp_path)])
    bench.main(["--toy", "--only", "engine", "--results", str(tmp_path)])
    assert list(load(tmp_path)) == ["engine", "sizes"]


def test_results_of_another_machine_are_brought_in(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    save(there, {"engine": bench.measure("engine", toy=True)})
    bench.main(["--merge", str(there), "--results", str(here)])
    assert load(here) == load(there)


def test_every_picture_is_drawn_where_its_group_was_measured(tmp_path):
    found = {name: bench.measure(name, toy=True) for name in ("growth", "others")}
    save(tmp_path, found)
    bench.write(tmp_path, readme=None)
    drawn = {file.name for file in tmp_path.glob("*.png")}
    assert drawn == set(table.pictured(found))
    assert all((tmp_path / name).stat().st_size > 10_000 for name in drawn)


def test_the_readme_links_the_pictures_that_there_are():
    assert all((KEPT / name).is_file() for name in table.pictured(load(KEPT)))
