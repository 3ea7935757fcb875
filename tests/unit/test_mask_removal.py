"""secagg.mask_removal: any executor opens the same sum, to the bit (4.8)."""

import dataclasses
import itertools
import pickle
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from secagg import errors, field, mask_removal, packing
from secagg.crypto.agree import KeyPair
from secagg.engine import NumpyThreads
from secagg.events import LostMember, OpenSum
from secagg.mask_removal import Agreements, MaskRemoval, Streams
from secagg.masked_chunks import chunks_of
from secagg.masking import removed_pair_masks, removed_self_masks, split
from secagg.names import PeerId, SessionId
from tests.helpers import ReferenceEngine
from tests.samples import blob, parameters

SID = SessionId(blob(0x21))
PARAMS = parameters(6, 1, length=5000, chunk_log2=12)
CHUNKS = chunks_of(PARAMS)
U3 = tuple(PeerId(u) for u in "abcd")
LOST = tuple(
    LostMember(
        sid=SID,
        peer=PeerId(v),
        s_sk=blob(0xAB, 31) + bytes([k]),
        partners=tuple((u, KeyPair(blob(i + 1)).public) for i, u in enumerate(U3)),
    )
    for k, v in enumerate(("aa", "x"))
)
SEEDS, SIGNS = split(
    removed_self_masks(SID, {u: blob(60 + i) for i, u in enumerate(U3)})
)
EFFECT = OpenSum(u3=U3, seeds=SEEDS, signs=SIGNS, lost=LOST)
RNG = np.random.default_rng(3)
Y = RNG.integers(0, PARAMS.p, (len(U3), CHUNKS.length)).astype(np.uint32)


def stored(index):
    start, stop = CHUNKS.span(index)
    return (packing.pack(y_u[start:stop], PARAMS.width) for y_u in Y)


def expected():
    """Every mask by its definition, one after the other."""
    total = (Y.astype(np.int64).sum(axis=0) % PARAMS.p).astype(np.uint32)
    pairs = [mask for lost in LOST for mask in removed_pair_masks(lost)]
    seeds, signs = split(pairs)
    everything = ([*SEEDS, *seeds], [*SIGNS, *signs])
    ReferenceEngine(PARAMS.width).accumulate(total, *everything, 0, CHUNKS.length)
    return field.centre(total, PARAMS.p)


EXPECTED = expected()


def opened(executor=None, told=None, effect=EFFECT):
    removal = MaskRemoval(
        engine=NumpyThreads(PARAMS.width, workers=1),
        executor=executor,
        told=told or (lambda failed: pytest.fail(str(failed))),
    )
    return np.concatenate([*removal.opened_chunks(effect, stored, PARAMS)])


@pytest.fixture(params=[1, 3, 1 << 10])
def group(request, monkeypatch):
    monkeypatch.setattr(mask_removal, "_GROUP", request.param)


@pytest.fixture(params=[1000, 1 << 12, 1 << 18])
def window(request, monkeypatch):
    monkeypatch.setattr(mask_removal, "_WINDOW", request.param)


def test_in_this_process_the_sum_is_that_of_the_definition(group):
    assert (opened() == EXPECTED).all()


def test_the_next_agreements_are_made_while_masks_are_expanded():
    begun = threading.Event()

    def groups():
        yield [1]
        begun.set()
        yield [2]

    coming = mask_removal._begun(groups())
    assert next(coming) == [1]
    # Nobody has asked for the second yet.
    assert begun.wait(60)
    assert [*coming] == [[2]]


def test_an_agreement_that_fails_is_not_lost_on_its_thread(monkeypatch):
    def broken(_):
        raise errors.RemoteProtocolError("3.2-4", "on purpose")

    monkeypatch.setattr(mask_removal, "removed_pair_masks", broken)
    with pytest.raises(errors.RemoteProtocolError, match="on purpose"):
        opened()


def test_on_threads_the_sum_is_the_same_however_it_is_cut(group, window):
    with ThreadPoolExecutor(2) as pool:
        assert (opened(pool) == EXPECTED).all()


def test_on_processes_the_sum_is_the_same():
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert (opened(pool) == EXPECTED).all()


def test_with_nobody_lost_and_no_masks_every_chunk_is_opened():
    bare = OpenSum(u3=U3, seeds=(), signs=())
    with ThreadPoolExecutor(2) as pool:
        for executor in (None, pool):
            found = opened(executor, effect=bare)
            total = Y.astype(np.int64).sum(axis=0) % PARAMS.p
            assert (found % PARAMS.p == total).all()


class Dies(Executor):
    """Works until the piece of this number; then what became of it, for ever."""

    def __init__(self, at, how):
        self._left = at
        self._how = how

    def submit(self, fn, /, *args, **kwargs):
        self._left -= 1
        if self._left < 0 and self._how == "shut down":
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[object] = Future()
        future.set_result(fn(*args, **kwargs) if self._left >= 0 else self._how)
        return future


WRONG = [
    "shut down",
    None,
    (),
    np.zeros(5000, dtype=np.int64),
    np.zeros(4999, dtype=np.uint32),
    np.full(4096, 2**32 - 1, dtype=np.uint32),
    np.full(904, PARAMS.p, dtype=np.uint32),
]


@pytest.mark.parametrize("how", WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("at", range(4))
def test_an_executor_that_fails_at_any_piece_costs_the_sum_nothing(at, how):
    told: list[errors.ExecutorFailed] = []
    assert (opened(Dies(at, how), told.append) == EXPECTED).all()
    assert [type(failed) for failed in told] == [errors.ExecutorFailed]


def test_a_worker_process_that_dies_costs_the_sum_nothing():
    told: list[errors.ExecutorFailed] = []
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(int).result()
        (worker,) = pool._processes.values()
        worker.kill()
        worker.join()
        assert (opened(pool, told.append) == EXPECTED).all()
    assert "BrokenProcessPool" in str(told[0])


def sent(piece):
    return pickle.loads(pickle.dumps(piece))  # noqa: S301 our own bytes


def test_pieces_travel_and_show_no_secret():
    lost = Agreements(LOST[0])
    streams = Streams(chunk=0, width=17, seeds=SEEDS, signs=SIGNS, start=0, stop=9)
    assert sent(lost).run() == lost.run()
    assert (sent(streams).run() == streams.run()).all()
    for piece, secret in itertools.product(
        (lost, streams), (LOST[0].s_sk, b"\xab" * 9)
    ):
        assert repr(secret)[2:-1] not in repr(piece)


def test_a_piece_knows_what_can_be_its_result():
    lost = Agreements(LOST[0])
    masks = lost.run()
    assert lost.fits(masks)
    for wrong in (list(masks), masks[1:], (*masks[1:], None), None):
        assert not lost.fits(wrong)
    streams = Streams(chunk=0, width=17, seeds=SEEDS, signs=SIGNS, start=0, stop=9)
    assert streams.fits(streams.run())
    assert not dataclasses.replace(streams, stop=8).fits(streams.run())
