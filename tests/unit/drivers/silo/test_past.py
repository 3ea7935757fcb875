"""secagg.drivers.silo.past: the sets and the prices of sums, kept across processes."""

from secagg.differences import SummedSet
from secagg.drivers.silo.store import SqliteStore
from secagg.messages import NoiseTerms
from secagg.names import PeerId
from tests.samples import blob

SUM = SummedSet(frozenset({PeerId("bern"), PeerId("zug")}), blob(1), constants=True)
OTHER = SummedSet(frozenset({PeerId("st-gallen")}), blob(2), constants=False)
NOISE = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=1.5,
    adjacency="zero-out",
    delta=1e-5,
)


def test_at_the_start_there_is_nothing(store) -> None:
    assert store.past.sums() == ()
    assert store.past.charges() == ()


def test_sets_are_kept_once_in_their_order_whatever_the_task(store) -> None:
    for task, summed in (("icu", SUM), ("ward", OTHER), ("ward", SUM)):
        store.past.record_summed(task, summed)
    assert store.past.sums() == (SUM, OTHER)


def test_a_round_is_charged_once(store) -> None:
    store.past.record_charge("icu", 7, NOISE)
    store.past.record_charge("icu", 2, NOISE)
    store.past.record_charge("icu", 7, NOISE)
    store.past.record_charge("ward", 7, NOISE)
    assert store.past.charges() == (NOISE, NOISE, NOISE)
    assert store.past.charged() == {("icu", 2), ("icu", 7), ("ward", 7)}


def test_another_process_knows_them(tmp_path) -> None:
    with SqliteStore(tmp_path) as store:
        store.past.record_summed("icu", SUM)
        store.past.record_charge("icu", 7, NOISE)
    with SqliteStore(tmp_path) as store:
        assert store.past.sums() == (SUM,)
        assert store.past.charges() == (NOISE,)
