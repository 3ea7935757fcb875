"""secagg.drivers.silo.store: what a hospital remembers, and that it is no secret."""

import dataclasses
import inspect
import itertools
import sqlite3
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import errors
from secagg.drivers.silo import store as stores
from secagg.drivers.silo.store import (
    ClientStore,
    MemoryStore,
    Receipt,
    SqliteStore,
)
from secagg.names import PeerId, SessionId

RECEIPT = Receipt(
    task_id="icu",
    round_no=3,
    sid=SessionId(b"s" * 32),
    u3=(PeerId("bern"), PeerId("st-gallen"), PeerId("zug")),
    result_hash=b"r" * 32,
    epsilon=1.25,
    at_ms=1_700_000_000_000,
)


def as_stores(memory: MemoryStore, durable: SqliteStore) -> list[ClientStore]:
    """Show the type checker that both are stores."""
    return [memory, durable]


# --- joined and released


def test_at_the_start_nothing_is_joined_released_or_received(store) -> None:
    assert store.last_joined("icu") == (0, 0)
    assert not store.spent("icu", 1)
    assert store.head("icu") == bytes(32)
    assert store.receipts("icu") == ()


PAIRS = list(itertools.product([1, 2, 10], [1, 2, 3]))


@pytest.mark.parametrize("last", PAIRS)
def test_only_a_pair_above_the_last_may_be_joined(store, last) -> None:
    store.record_joined("icu", *last)
    for pair in PAIRS:
        if pair <= last:
            with pytest.raises(errors.StateError, match="not above"):
                store.record_joined("icu", *pair)
    assert store.last_joined("icu") == last


def test_the_last_joined_is_the_highest_by_number(store) -> None:
    for pair in PAIRS:
        store.record_joined("icu", *pair)
        assert store.last_joined("icu") == pair


def test_a_refusal_to_go_back_names_both_rounds_and_the_remedy(store) -> None:
    store.record_joined("icu", 4, 2)
    with pytest.raises(errors.StateError) as caught:
        store.record_joined("icu", 3, 1)
    for part in ("round 3 attempt 1", "round 4 attempt 2", "icu", "check that"):
        assert part in str(caught.value)


def test_tasks_do_not_mix(store) -> None:
    store.record_joined("icu", 4, 2)
    store.record_spent("icu", 4)
    store.record_head("icu", b"h" * 32)
    store.record_receipt(RECEIPT)
    assert store.last_joined("ward") == (0, 0)
    assert not store.spent("ward", 4)
    assert store.head("ward") == bytes(32)
    assert store.receipts("ward") == ()


def test_a_release_is_remembered_for_its_round_alone(store) -> None:
    store.record_spent("icu", 4)
    store.record_spent("icu", 4)
    assert [store.spent("icu", r) for r in (3, 4, 5)] == [False, True, False]


# --- chain and receipts


def test_the_head_is_the_link_recorded_last(store) -> None:
    for link in (b"a" * 32, b"b" * 32, b"a" * 32):
        store.record_head("icu", link)
        assert store.head("icu") == link


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_link_of_another_size_is_refused_and_changes_nothing(store, size) -> None:
    store.record_head("icu", b"a" * 32)
    with pytest.raises(errors.LocalProtocolError, match=str(size)):
        store.record_head("icu", bytes(size))
    assert store.head("icu") == b"a" * 32


def test_receipts_are_kept_in_the_order_of_recording(store) -> None:
    later = dataclasses.replace(
        RECEIPT, sid=SessionId(b"a" * 32), round_no=2, epsilon=None, u3=()
    )
    store.record_receipt(RECEIPT)
    store.record_receipt(later)
    assert store.receipts("icu") == (RECEIPT, later)


def test_the_first_receipt_of_a_session_stays(store) -> None:
    store.record_receipt(RECEIPT)
    store.record_receipt(dataclasses.replace(RECEIPT, at_ms=0))
    assert store.receipts("icu") == (RECEIPT,)


@pytest.mark.parametrize(
    "receipt",
    [
        dataclasses.replace(RECEIPT, sid=SessionId(bytes(31))),
        dataclasses.replace(RECEIPT, result_hash=bytes(31)),
    ],
)
def test_a_receipt_with_a_hash_of_another_size_is_refused(store, receipt) -> None:
    with pytest.raises(errors.LocalProtocolError, match="31"):
        store.record_receipt(receipt)
    assert store.receipts("icu") == ()


# --- both kinds are one

TASKS = st.sampled_from(["icu", "ward"])
ROUNDS = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.just("record_joined"), TASKS, ROUNDS, st.integers(1, 3)),
    st.tuples(st.just("record_spent"), TASKS, ROUNDS),
    st.tuples(st.just("record_head"), TASKS, st.binary(min_size=31, max_size=32)),
)


def outcome(store, step):
    name, *arguments = step
    try:
        getattr(store, name)(*arguments)
    except errors.SecaggError as error:
        return str(error)
    return None


def seen(store):
    return [
        (
            store.last_joined(task),
            [store.spent(task, round_no) for round_no in range(6)],
            store.head(task),
        )
        for task in ("icu", "ward")
    ]


@given(st.lists(STEPS, max_size=12))
def test_both_kinds_answer_alike(tmp_path_factory, steps) -> None:
    with SqliteStore(tmp_path_factory.mktemp("state")) as opened:
        memory, durable = as_stores(MemoryStore(), opened)
        for step in steps:
            assert outcome(memory, step) == outcome(durable, step)
            assert seen(memory) == seen(durable)


# --- the directory


def test_everything_is_there_when_the_directory_is_opened_again(tmp_path) -> None:
    with SqliteStore(tmp_path) as store:
        store.record_joined("icu", 3, 2)
        store.record_spent("icu", 3)
        store.record_head("icu", b"h" * 32)
        store.record_receipt(RECEIPT)
    with SqliteStore(tmp_path) as store:
        assert store.last_joined("icu") == (3, 2)
        assert store.spent("icu", 3)
        assert store.head("icu") == b"h" * 32
        assert store.receipts("icu") == (RECEIPT,)


def test_a_new_directory_is_for_its_owner_alone(tmp_path) -> None:
    SqliteStore(tmp_path / "a" / "state").close()
    mode = (tmp_path / "a" / "state").stat().st_mode
    assert stat.S_IMODE(mode) == 0o700


def test_one_process_holds_a_directory(tmp_path) -> None:
    with (
        SqliteStore(tmp_path),
        pytest.raises(errors.StateError, match="another process"),
    ):
        SqliteStore(tmp_path)


def test_a_damaged_directory_is_refused_with_the_remedy(tmp_path) -> None:
    (tmp_path / stores.FILE_NAME).write_bytes(b"no database at all " * 99)
    with pytest.raises(errors.StateError, match="move it away"):
        SqliteStore(tmp_path)


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(errors.StateError, match=str(tmp_path / "state")):
        SqliteStore(tmp_path / "state")


# --- no secret has a place in it

PUBLIC_BYTES = {"link", "sid", "result_hash"}


def test_a_store_takes_no_bytes_but_public_hashes() -> None:
    taken = {
        name
        for _, method in inspect.getmembers(ClientStore, inspect.isfunction)
        for name, kind in inspect.get_annotations(method).items()
        if "bytes" in kind and name != "return"
    }
    fields = {
        field.name
        for field in dataclasses.fields(Receipt)
        if field.type not in {"str", "int", "tuple[PeerId, ...]", "float | None"}
    }
    assert taken | fields == PUBLIC_BYTES


def test_a_file_has_columns_for_bytes_only_for_public_hashes(tmp_path) -> None:
    SqliteStore(tmp_path).close()
    with sqlite3.connect(tmp_path / stores.FILE_NAME) as raw:
        columns = raw.execute(
            "SELECT p.name, p.type FROM sqlite_master AS m, pragma_table_info(m.name)"
            " AS p WHERE m.type = 'table' AND m.name <> 'seal'"
        ).fetchall()
    raw.close()
    assert {name for name, kind in columns if kind == "BLOB"} == {
        *PUBLIC_BYTES,
        "model_hash",
    }
    assert {kind for _, kind in columns} == {"BLOB", "TEXT", "INTEGER", "REAL"}
