"""peers.logs: one JSON object a line, names and numbers, no contents."""

import io
import json

import pytest
from rich.console import Console

from peers.config_sections import Log
from peers.logs import fields_of, logged, name_of, opened_log
from peers.toml_file import ConfigError
from secagg import RoundOpen, errors
from secagg.drivers import progress
from secagg.names import PeerId, SessionId

SID = SessionId(bytes(range(32)))
BEGAN = progress.SessionBegan(
    sid=SID, round_no=3, attempt=1, members=(PeerId("bern"), PeerId("zug"))
)
STORED = progress.ChunkStored(sid=SID, peer=PeerId("bern"), chunks=1, total=4)
DROPPED = progress.PeerDropped(
    sid=SID, peer=PeerId("zug"), rule="3.4-3", detail="a false signature"
)


def log_file(tmp_path, level="info"):
    return Log(file=tmp_path / "logs" / "x.log", level=level)


def lines(log):
    return [json.loads(line) for line in log.file.read_text().splitlines()]


def test_an_event_is_named_as_it_is_called() -> None:
    assert name_of(BEGAN) == "session_began"


def test_session_and_round_have_their_names_and_hashes_are_short() -> None:
    assert fields_of(BEGAN) == {
        "session": SID.hex()[:16],
        "round": 3,
        "attempt": 1,
        "members": ["bern", "zug"],
    }


def test_a_round_is_told_by_its_numbers() -> None:
    opened = RoundOpen(
        task_id="cardio",
        round_no=2,
        model_hash=bytes(32),
        model_size=9,
        previous_link=bytes(32),
    )
    assert fields_of(progress.RoundOpened(round=opened)) == {
        "task": "cardio",
        "round": 2,
        "model": "0" * 16,
    }


def test_what_is_not_known_is_left_out() -> None:
    event = progress.PhaseReached(sid=None, phase="idle")
    assert fields_of(event) == {"phase": "idle"}


def test_every_line_of_a_file_is_json(tmp_path) -> None:
    log = log_file(tmp_path)
    with opened_log(log) as logger:
        logger.bind(peer="bern").info("training_began", round=1)
    assert (
        lines(log)[0].items()
        >= {
            "peer": "bern",
            "event": "training_began",
            "round": 1,
            "level": "info",
        }.items()
    )


def test_a_file_is_continued(tmp_path) -> None:
    for _ in range(2):
        with opened_log(log_file(tmp_path)) as logger:
            logger.info("x")
    assert len(lines(log_file(tmp_path))) == 2


@pytest.mark.parametrize(
    ("level", "names"),
    [
        ("debug", ["session_began", "chunk_stored", "peer_dropped"]),
        ("info", ["session_began", "peer_dropped"]),
        ("warning", ["peer_dropped"]),
    ],
)
def test_details_and_warnings_have_their_level(tmp_path, level, names) -> None:
    log = log_file(tmp_path, level)
    with opened_log(log) as logger:
        observe = logged(logger)
        for event in (BEGAN, STORED, DROPPED):
            observe(event)
    assert [line["event"] for line in lines(log)] == names


def test_without_a_file_json_goes_to_standard_error(capsys) -> None:
    with opened_log(Log()) as logger:
        logger.warning("round_missed", round=4)
    assert json.loads(capsys.readouterr().err)["round"] == 4


def test_at_a_terminal_only_warnings_are_written_for_people() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200)
    with opened_log(Log(), console) as logger:
        logger.info("round_done", round=4)
        logger.warning("round_missed", round=5, detail="[bern]")
    assert "round_done" not in screen.getvalue()
    assert "round_missed" in screen.getvalue()
    assert "[bern]" in screen.getvalue()


def test_a_log_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "logs").write_text("")
    with (
        pytest.raises(ConfigError, match="cannot be written"),
        opened_log(log_file(tmp_path)),
    ):
        pass


@pytest.mark.parametrize("error", [ConfigError, errors.StateError])
def test_why_a_program_ends_is_its_logs_last_line(tmp_path, error) -> None:
    log = log_file(tmp_path)
    with pytest.raises(error), opened_log(log):
        raise error("the disk is full: free some space")
    last = lines(log)[-1]
    assert (last["event"], last["level"]) == ("ended", "error")
    assert last["detail"] == "the disk is full: free some space"


def test_of_an_error_that_nobody_foresaw_the_log_has_the_name_alone(tmp_path) -> None:
    log = log_file(tmp_path)
    with pytest.raises(KeyError), opened_log(log):
        raise KeyError("a seed")
    [last] = lines(log)
    assert (last["error"], last["detail"]) == ("KeyError", None)
    assert "seed" not in log.file.read_text()


def test_at_a_terminal_the_error_is_left_to_the_command(tmp_path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200)
    with pytest.raises(errors.StateError), opened_log(Log(), console):
        raise errors.StateError("the disk is full")
    assert screen.getvalue() == ""
