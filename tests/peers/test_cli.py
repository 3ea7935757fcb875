"""peers.cli: the command itself."""

import secagg
from tests.peers.commands.typed import run, succeed


def test_the_version_is_printed() -> None:
    assert secagg.__version__ in succeed("--version").stdout


def test_no_arguments_show_the_help() -> None:
    assert "identity" in run().output
