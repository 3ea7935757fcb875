"""What a person types, and what the command answers."""

from pathlib import Path

from typer.testing import CliRunner

from peers.card import read_card
from peers.cli import app

RUNNER = CliRunner()


def run(*arguments, **kwargs):
    """Run the command and return its result; an unexpected error is raised."""
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], **kwargs)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*arguments, **kwargs):
    result = run(*arguments, **kwargs)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments, **kwargs):
    """The one line with which the command fails."""
    result = run(*arguments, **kwargs)
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return lines[0]


def accept(peer, *options, roster="roster.json"):
    card = read_card_of(peer)
    return succeed(
        "roster", "accept", f"{peer}.card.json", "--roster", roster,
        "--key", "consortium.identity.json", "--fingerprint", card.fingerprint,
        *options,
    )  # fmt: skip


def read_card_of(peer):
    return read_card(Path(f"{peer}.card.json"))


def key_of_consortium():
    return read_card_of("consortium").key.hex()


AGGREGATOR = """
identity = "agg.identity.json"
roster = "roster.json"
consortium_key = "{key}"
state = "state"
[listen]
host = "127.0.0.1"
[task]
id = "cardio-1"
rounds = 1
clip = 1.0
[model]
{model}
"""
