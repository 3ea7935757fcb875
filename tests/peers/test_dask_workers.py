"""peers.dask_workers: unmasking on a local cluster of two processes, to the bit."""

import os
import signal
import sys

import numpy as np
import pytest

from peers.config import load_aggregator
from peers.dask_workers import load_library, opened_workers
from peers.toml_file import ConfigError
from secagg import errors
from secagg.simulation import simulate
from tests.peers.programs import AGGREGATOR, HOSPITALS, Programs
from tests.unit.test_mask_removal import EXPECTED, opened

UPDATES = [np.full(4_000, float(k)) for k in range(6)]
LOST = {"masked_input": {2, 5}}


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="the extra dask")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
    ) as made:
        yield made


def test_workers_open_the_same_sum(cluster):
    with opened_workers(cluster.scheduler_address) as workers:
        assert workers is not None
        assert (opened(workers) == EXPECTED).all()
        pids = {workers.submit(os.getpid).result() for _ in range(9)}
        assert os.getpid() not in pids


def test_a_simulation_has_its_masks_expanded_by_workers(cluster):
    with opened_workers(cluster.scheduler_address) as workers:
        there = simulate(UPDATES, drop=LOST, seed=3, unmasking=workers)
    here = simulate(UPDATES, drop=LOST, seed=3)
    assert there.exact
    assert (there.mean == here.mean).all()
    assert len(there.sets["u3"]) == 4


def test_a_worker_that_is_killed_costs_the_sum_nothing(cluster):
    with opened_workers(cluster.scheduler_address) as workers:
        assert workers is not None
        os.kill(workers.submit(os.getpid).result(), signal.SIGKILL)
        # Dask gives its pieces to another; were there none, they would be done here.
        assert (opened(workers, lambda _: None) == EXPECTED).all()


def test_a_cluster_that_is_gone_is_reported_and_done_without(cluster):
    told: list[errors.ExecutorFailed] = []
    with opened_workers(cluster.scheduler_address) as workers:
        pass
    assert (opened(workers, told.append) == EXPECTED).all()
    assert [type(failed) for failed in told] == [errors.ExecutorFailed]


async def test_the_program_reaches_the_scheduler_of_its_file(cluster, tmp_path):
    table = f'[unmasking]\ndask = "{cluster.scheduler_address}"\n'
    programs = Programs(tmp_path, rounds=1, privacy=table)
    await programs.run()
    assert [report.status for report in programs.reports] == ["released"]
    assert programs.reports[0].sets["u3"] == list(HOSPITALS)
    assert programs.named("agg", "unmasked_here") == []


def test_without_an_address_nothing_is_loaded():
    with opened_workers(None) as workers:
        assert workers is None


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"secagg\[dask\]"):
        load_library()


def test_a_scheduler_that_does_not_answer_is_a_matter_of_the_file(monkeypatch):
    pytest.importorskip("distributed", reason="the extra dask")
    monkeypatch.setattr("peers.dask_workers.CONNECT_SECONDS", 0.01)
    with (
        pytest.raises(ConfigError, match="no scheduler answers"),
        opened_workers("tcp://127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize("address", ["scheduler:8786", "http://a:1", "tcp://", ""])
def test_an_address_that_is_none_is_refused_with_its_key(tmp_path, address):
    programs = Programs(tmp_path, privacy=f'[unmasking]\ndask = "{address}"\n')
    with pytest.raises(ConfigError, match="dask"):
        programs.config("agg", AGGREGATOR, load_aggregator)
