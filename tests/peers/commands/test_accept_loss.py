"""peers.commands.accept_loss: the operator's word, and what it costs."""

from typer.testing import CliRunner

from peers.cli import app
from secagg.drivers.silo.store import SqliteStore

RUNNER = CliRunner()
HOSPITAL = """
aggregator = "wss://agg.example:8443"
identity = "bern.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "state"

[training]
trainer = "our_training:train"
"""


def run(consortium):
    text = HOSPITAL.format(key=consortium.key.hex())
    path = consortium.write("bern.toml", text)
    return RUNNER.invoke(app, ["accept-loss", "--config", str(path)])


def test_the_marks_are_set_and_the_rounds_named(consortium) -> None:
    with SqliteStore(consortium.folder / "state") as store:
        store.forgotten.note("cardio-1", 7)
        store.forgotten.note("icu", 2)
    done = run(consortium)
    assert done.exit_code == 0
    assert "cardio-1: gave up what was done up to round 7" in done.output
    with SqliteStore(consortium.folder / "state") as store:
        assert store.last_joined("cardio-1") == (7, 3)
        assert store.last_joined("icu") == (2, 3)
        assert store.forgotten.tasks() == ()


def test_where_nothing_is_forgotten_nothing_changes(consortium) -> None:
    done = run(consortium)
    assert done.exit_code == 2
    assert "not known to have forgotten anything" in done.output
    with SqliteStore(consortium.folder / "state") as store:
        assert store.last_joined("cardio-1") == (0, 0)
