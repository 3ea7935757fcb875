"""Neither side holds more than its one vector: seen at the processes themselves."""

import pytest

from tests.benchmarks import large
from tests.benchmarks.large_parties import Plan


@pytest.mark.skipif(
    large.unreadable() != "", reason="a process's peak of memory cannot be read here"
)
def test_memory_is_one_vector_and_64_mib_on_either_side(tmp_path) -> None:
    # 16 MiB a vector: three more of them on either side would be seen.
    found = large.one_round(Plan(4, 1 << 22, 1, str(tmp_path)))
    assert found.exact
    for peer in found.plan.survivors:
        assert found.hospitals[peer]["grown"] <= 4 * found.plan.length + large.ROOM
    server = found.aggregator
    assert server["grown"] <= 4 * server["elements"] + large.ROOM
