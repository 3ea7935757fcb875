"""Rule 9-4: killed anywhere in the opening, the noise and the charge are those before.

A kill is an exception that nothing catches, and then the state opened anew, with the
seed that the journal gives back. Beside it stands a run that was not killed.
"""

import math

import numpy as np
import pytest

from secagg import field, packing, pipeline
from secagg.consortium import Consortium
from secagg.drivers.aggregator.blobs import BlobStore
from secagg.drivers.aggregator.ledger_store import DurableLedgerStore
from secagg.drivers.aggregator.opening import Opening
from secagg.drivers.aggregator.state import AggregatorState
from secagg.drivers.postgres import DatabaseUrl
from secagg.engine import engine
from secagg.events import OpenSum
from secagg.masked_chunks import chunks_of
from secagg.messages import NoiseTerms
from secagg.names import SessionId
from secagg.params import Parameters
from secagg.privacy.ledger import Budget
from secagg.task import Task
from tests.memory_spool import MemorySpool
from tests.samples import first_manifest

CONSORTIUM = Consortium.of(4, b"noise once")
PEERS = tuple(sorted(CONSORTIUM.silos))
LENGTH = 100
SID = SessionId(bytes([3]) * 32)
SEED = bytes(range(32))
NOISE = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=1.0,
    adjacency="zero-out",
    delta=1e-5,
)
MANIFEST = first_manifest(
    CONSORTIUM,
    Task(
        task_id="demo",
        length=LENGTH,
        clip=1.0,
        weighting="uniform",
        max_weight=1,
        dp=NOISE,
    ),
)
PARAMS = Parameters.of(MANIFEST)
EFFECT = OpenSum(u3=PEERS, seeds=(), signs=())


class KilledError(BaseException):
    """The process is gone."""


def kill(*_):
    raise KilledError


def before(name, owner):
    def arm(monkeypatch):
        monkeypatch.setattr(owner, name, kill)

    return arm


def after(name, owner):
    def arm(monkeypatch):
        does = getattr(owner, name)

        def done(self, what):
            does(self, what)
            raise KilledError

        monkeypatch.setattr(owner, name, done)

    return arm


def within_the_vector(monkeypatch):
    write = BlobStore.write

    def torn(parts):
        yield bytes(next(iter(parts)))[:7]
        raise KilledError

    monkeypatch.setattr(
        BlobStore, "write", lambda self, parts: write(self, torn(parts))
    )


KILLS = {
    "before the charge": before("append", DurableLedgerStore),
    "after the charge": after("append", DurableLedgerStore),
    "before the vector": before("write", BlobStore),
    "within the vector": within_the_vector,
    "after the vector": after("write", BlobStore),
    "before the next model": before("put", BlobStore),
    "after the next model": after("put", BlobStore),
}


@pytest.fixture(params=["sqlite", "postgres"])
def journal(request):
    if request.param == "sqlite":
        return None
    return DatabaseUrl(request.getfixturevalue("postgres_url"))


def state_at(directory, journal=None):
    return AggregatorState.open(
        directory,
        task_id="demo",
        budget=Budget(epsilon=math.inf, delta=1e-5),
        members=len(PEERS),
        journal_url=journal,
    )


def begin(directory, journal=None) -> None:
    state = state_at(directory, journal)
    state.journal.open_round("demo", bytes(32), 1)
    state.journal.open_session(SID, MANIFEST, SEED)
    state.close()


def life(directory, journal=None):
    """One life of the aggregator: the Result, the released bytes and the charges."""
    state = state_at(directory, journal)
    try:
        session = state.journal.newest_session("demo", 1)
        assert session is not None
        result = Opening(
            params=PARAMS,
            task_id="demo",
            sid=session.sid,
            model_hash=bytes(32),
            spool=spooled(),
            engine=engine("numpy-threads", PARAMS.width),
            noise_seed=session.noise_seed,
            ledger=state.ledger,
            blobs=state.blobs,
            next_model=lambda mean: mean.tobytes(),
        ).open(EFFECT)
        vector = result.vector
        assert vector is not None
        released = state.blobs.read(vector.hash, 0, vector.size)
        return result, released, state.ledger_store.load()
    finally:
        state.close()


def inputs():
    rng = np.random.default_rng(4)
    return [rng.integers(-5, 6, PARAMS.total_length) for _ in PEERS]


def spooled() -> MemorySpool:
    chunks = chunks_of(PARAMS)
    spool = MemorySpool(SID, chunks)
    for peer, x_u in zip(PEERS, inputs(), strict=True):
        encoded = field.to_field(x_u.astype(np.int64), PARAMS.p)
        spool.append(peer, 0, packing.pack(encoded, PARAMS.width))
    return spool


@pytest.mark.parametrize("place", KILLS)
def test_killed_while_it_opens_the_aggregator_releases_what_it_would_have(
    place, journal, tmp_path, monkeypatch
) -> None:
    begin(tmp_path / "whole")
    expected = life(tmp_path / "whole")
    begin(tmp_path / "killed", journal)
    with monkeypatch.context() as armed:
        KILLS[place](armed)
        with pytest.raises(KilledError):
            life(tmp_path / "killed", journal)
    found = life(tmp_path / "killed", journal)
    assert found == expected
    assert [charge.session_id for charge in found[2]] == [SID]


def test_killed_when_all_was_open_it_gives_the_same_again(journal, tmp_path) -> None:
    begin(tmp_path, journal)
    first = life(tmp_path, journal)
    assert life(tmp_path, journal) == first
    assert len(first[2]) == 1


def test_what_is_compared_has_noise_in_it(tmp_path) -> None:
    begin(tmp_path)
    result, released, _ = life(tmp_path)
    read = pipeline.released_vector(result, lambda at, n: released[at : at + n], PARAMS)
    plain = np.sum(inputs(), axis=0)[: PARAMS.coordinates]
    assert not np.array_equal(read.sum(), plain)
