"""The ledger's file: durable, one writer, and honest about damage."""

import subprocess
import sys

import pytest

from secagg import errors
from secagg.drivers.aggregator.ledger_store import DurableLedgerStore
from secagg.drivers.postgres import DatabaseUrl
from secagg.privacy.ledger import Budget, BudgetLedger, Charge
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency
from tests.postgres import PASSWORD

DELTA = 1e-5


def charge(k, task_id="heart", z=3.1, adjacency=Adjacency.ZERO_OUT):
    return Charge(
        task_id=task_id,
        session_id=k.to_bytes(32, "big"),
        event=NoiseEvent(
            mechanism="discrete-gaussian",
            noise_multiplier=z,
            sensitivity_squared=2**90 + k,
            adjacency=adjacency,
        ),
    )


CHARGES = (
    charge(1),
    charge(2, task_id="lung", z=1e-300),
    charge(3, adjacency=Adjacency.REPLACE_ONE),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def test_charges_come_back_from_a_database(postgres_url):
    place = DatabaseUrl(postgres_url)
    with DurableLedgerStore(place) as store:
        for one in CHARGES:
            store.append(one)
    assert load(place) == CHARGES


def test_a_charge_that_was_altered_in_a_database_is_noticed(postgres_url):
    place = DatabaseUrl(postgres_url)
    with DurableLedgerStore(place) as store:
        for one in CHARGES:
            store.append(one)
        store._database.execute("UPDATE charges SET task_id = 'x' WHERE number = 2")
        with pytest.raises(errors.StateError, match="charge 2 is damaged") as caught:
            store.load()
    assert PASSWORD not in str(caught.value)


@pytest.fixture
def filled(path):
    with DurableLedgerStore(path) as store:
        for one in CHARGES:
            store.append(one)
    return path


def change(path, statement, *values):
    """Change a row as nothing but the store's own chain of hashes notices."""
    with DurableLedgerStore(path) as store:
        store._database.execute(statement, *values)


def load(path):
    with DurableLedgerStore(path) as store:
        return store.load()


def test_a_new_file_holds_no_charges(path):
    assert load(path) == ()


def test_charges_come_back_as_they_were_after_a_restart(filled):
    assert load(filled) == CHARGES


def test_charges_go_on_after_those_of_an_earlier_process(filled):
    with DurableLedgerStore(filled) as store:
        store.load()
        store.append(charge(4))
    assert load(filled) == (*CHARGES, charge(4))


def test_a_charge_outlives_a_process_that_is_killed_after_it(path):
    program = f"""
import os, signal, pathlib
from secagg.drivers.aggregator.ledger_store import DurableLedgerStore
from secagg.privacy.ledger import Budget, BudgetLedger
from secagg.privacy.mechanism import NoiseEvent
from secagg.sensitivity import Adjacency
event = NoiseEvent(mechanism="none", noise_multiplier=0.0, sensitivity_squared=7,
                   adjacency=Adjacency.ZERO_OUT)
store = DurableLedgerStore(pathlib.Path({str(path)!r}))
ledger = BudgetLedger(store, {{"open": Budget(epsilon=float("inf"), delta=1e-5)}})
ledger.charge("open", bytes(32), event)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == -9
    (found,) = load(path)
    assert (found.task_id, found.session_id) == ("open", bytes(32))


def test_the_ledger_keeps_its_account_over_a_restart(path):
    budgets = {"heart": Budget(epsilon=8.0, delta=DELTA)}
    with DurableLedgerStore(path) as store:
        one = charge(1)
        spent = BudgetLedger(store, budgets).charge("heart", one.session_id, one.event)
    with DurableLedgerStore(path) as store:
        assert BudgetLedger(store, budgets).epsilon("heart") == spent


def test_a_second_writer_is_refused_while_the_first_is_open(path):
    with (
        DurableLedgerStore(path),
        pytest.raises(errors.StateError, match="another process"),
    ):
        DurableLedgerStore(path)


def test_a_refused_second_writer_does_not_disturb_the_first(path):
    with DurableLedgerStore(path) as store:
        with pytest.raises(errors.StateError):
            DurableLedgerStore(path)
        store.append(charge(1))
        assert store.load() == (charge(1),)


def test_the_lock_ends_with_close(filled):
    DurableLedgerStore(filled).close()
    assert load(filled) == CHARGES


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("task_id", "lung"),
        ("session_id", bytes(32)),
        ("mechanism", "none"),
        ("noise_multiplier", 30.0),
        ("sensitivity_squared", "1"),
        ("sensitivity_squared", "12x"),
        ("sensitivity_squared", "01"),
        ("adjacency", "replace-one"),
        ("adjacency", "someone"),
        ("digest", bytes(32)),
        ("number", 17),
    ],
)
def test_an_edited_charge_is_refused(filled, column, value):
    edit = f"UPDATE charges SET {column} = ? WHERE number = 1"  # noqa: S608 ours
    change(filled, edit, value)
    with pytest.raises(errors.StateError, match="charge 1 is damaged"):
        load(filled)


def test_a_missing_charge_is_refused(filled):
    change(filled, "DELETE FROM charges WHERE number = 2")
    with pytest.raises(errors.StateError, match="charge 2"):
        load(filled)


def test_a_missing_charge_with_the_rest_renumbered_is_refused(filled):
    change(filled, "DELETE FROM charges WHERE number = 2")
    change(filled, "UPDATE charges SET number = 2 WHERE number = 3")
    with pytest.raises(errors.StateError, match="charge 2"):
        load(filled)


def test_a_file_that_is_no_database_is_refused(path):
    path.write_bytes(b"these are not the pages you are looking for" * 50)
    with pytest.raises(errors.StateError, match="backup that holds"):
        DurableLedgerStore(path)


def test_a_torn_file_is_refused(filled):
    data = filled.read_bytes()
    filled.write_bytes(data[: len(data) - 4096])
    with pytest.raises(errors.StateError, match="backup that holds"):
        load(filled)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(errors.StateError, match="cannot use"):
        DurableLedgerStore(tmp_path / "nowhere" / "ledger.sqlite")


def test_a_charge_that_cannot_be_written_is_refused(path):
    store = DurableLedgerStore(path)
    store.close()
    with pytest.raises(errors.StateError, match="cannot use"):
        store.append(charge(1))
