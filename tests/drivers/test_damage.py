"""A hospital's state on a disk that errs: what it says is what was written, or nothing.

Rule 9-5. Every page of the file has bits flipped in it and is cut off; the file is
emptied, removed, or put together from two of its own ages.
"""

import shutil

import pytest

from secagg import errors
from secagg.differences import SummedSet
from secagg.drivers.silo.store import FILE_NAME, Receipt, SqliteStore
from secagg.messages import NoiseTerms
from secagg.names import PeerId, SessionId

PAGE = 4096
NOISE = NoiseTerms(
    mechanism="discrete-gaussian",
    noise_multiplier=3.0,
    adjacency="zero-out",
    delta=1e-5,
)
PEERS = tuple(PeerId(name) for name in ("bern", "chur", "zug"))


def record(store, rounds) -> None:
    """What a hospital keeps of some rounds of two tasks."""
    for task in ("icu", "ward"):
        for number in rounds:
            mark = bytes([number]) * 32
            store.record_joined(task, number, 1)
            store.record_spent(task, number)
            store.past.record_charge(task, number, NOISE)
            store.past.record_summed(task, SummedSet(frozenset(PEERS), mark, True))
            store.record_head(task, mark)
            store.record_receipt(
                Receipt(
                    task_id=task,
                    round_no=number,
                    sid=SessionId(bytes([number, len(task)]) * 16),
                    u3=PEERS,
                    result_hash=mark,
                    epsilon=0.5 * number,
                    at_ms=number,
                )
            )


def told(directory):
    """All that a state directory says."""
    with SqliteStore(directory) as store:
        return [
            (
                store.last_joined(task),
                [store.spent(task, number) for number in range(9)],
                store.head(task),
                store.receipts(task),
                store.past.sums(),
                store.past.charges(),
            )
            for task in ("icu", "ward")
        ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A state directory after five rounds, and what it says."""
    directory = tmp_path_factory.mktemp("whole")
    with SqliteStore(directory) as store:
        record(store, range(1, 6))
    return directory, told(directory)


@pytest.fixture
def damaged(whole, tmp_path):
    """Return what the state says after its file was changed; None if it refuses."""
    directory, said = whole
    refusals: list[str] = []

    def after(data: bytes):
        shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
        (tmp_path / FILE_NAME).write_bytes(data)
        try:
            return told(tmp_path)
        except errors.StateError as error:
            return refusals.append(str(error))

    yield (directory / FILE_NAME).read_bytes(), said, after
    remedies = ("move it away", "another version", "cannot use")
    assert all(any(remedy in one for remedy in remedies) for one in refusals)


def test_a_bit_that_flips_anywhere_is_noticed_or_changes_nothing(damaged) -> None:
    data, said, after = damaged
    refused = 0
    places = [*range(100), *range(100, len(data), 151)]
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        now = after(bytes(flipped))
        assert now in (None, said), f"byte {place} says something else"
        refused += now is None
    # The rest is room that nothing lies in.
    assert refused > 50


def test_every_byte_that_holds_a_mark_is_under_the_checksum(damaged) -> None:
    """Each of these bytes is one that SQLite itself would give back as it is."""
    data, _, after = damaged
    for number in range(1, 6):
        mark = bytes([number]) * 32
        place = data.find(mark)
        while place >= 0:
            flipped = bytearray(data)
            flipped[place + 7] ^= 4
            assert after(bytes(flipped)) is None, place
            place = data.find(mark, place + 32)


def test_a_file_that_is_cut_off_anywhere_is_refused(damaged) -> None:
    data, _, after = damaged
    for size in range(0, len(data), PAGE // 2):
        assert after(data[:size]) is None, size


def test_a_page_of_an_earlier_age_is_refused(tmp_path) -> None:
    """A write that a disk said it made, and did not: the page is good, and old."""
    directory = tmp_path / "state"
    with SqliteStore(directory) as store:
        record(store, range(1, 5))
    before = (directory / FILE_NAME).read_bytes()
    with SqliteStore(directory) as store:
        record(store, range(5, 6))
    after, said = (directory / FILE_NAME).read_bytes(), told(directory)
    changed = [
        place
        for place in range(PAGE, min(len(before), len(after)), PAGE)
        if before[place : place + PAGE] != after[place : place + PAGE]
    ]
    assert len(changed) > 5
    for place in changed:
        old = before[place : place + PAGE]
        mixed = after[:place] + old + after[place + PAGE :]
        (directory / FILE_NAME).write_bytes(mixed)
        with pytest.raises(errors.StateError, match="move it away"):
            told(directory)
    (directory / FILE_NAME).write_bytes(after)
    assert told(directory) == said


def test_a_file_that_is_gone_is_not_taken_for_a_new_one(whole, tmp_path) -> None:
    directory, _ = whole
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    (tmp_path / FILE_NAME).unlink()
    with pytest.raises(errors.StateError, match="it is empty, and was not"):
        told(tmp_path)
