"""peers.commands.readmit: a hospital that was left out takes part again."""

import contextlib

from secagg.drivers.aggregator.journal import Journal
from secagg.names import PeerId
from tests.peers.commands.typed import (
    AGGREGATOR,
    key_of_consortium,
    refused,
    succeed,
)


def test_a_hospital_that_was_left_out_is_readmitted(enrolled) -> None:
    text = AGGREGATOR.format(key=key_of_consortium(), model='factory = "ward:first"')
    (enrolled / "agg.toml").write_text(text)
    assert "no journal" in refused("readmit", "bern", "--config", "agg.toml")
    (enrolled / "state").mkdir()
    with contextlib.closing(Journal(enrolled / "state", members=2)) as journal:
        journal.blame("cardio-1", PeerId("bern"), "rule 4.7-6: bad shares")
        running = refused("readmit", "bern", "--config", "agg.toml")
    assert "stop that one first" in running
    told = succeed("readmit", "bern", "--config", "agg.toml").stdout
    assert "bern may take part in cardio-1 again" in told
    assert "rule 4.7-6: bad shares" in told
    assert "left out: nobody" in refused("readmit", "bern", "--config", "agg.toml")
