"""Structured logs: one JSON object a line; session, round, peer and rule, no contents.

To a file if the configuration names one, else to standard error. At a terminal without
a log file only warnings are written, for people, above the display of everything else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import structlog
from rich.console import Console
from structlog.typing import FilteringBoundLogger, Processor

from peers.config_sections import Log
from peers.toml_file import ConfigError
from secagg.drivers import progress
from secagg.drivers.progress import Observer, Progress
from secagg.errors import SecaggError
from secagg.messages import RoundOpen

Logger = FilteringBoundLogger

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
}
_DETAILS: Final = (
    progress.Answered,
    progress.Uploaded,
    progress.ChunkStored,
    progress.Fetched,
    progress.MessageIgnored,
)
_WARNINGS: Final = (
    progress.DialFailed,
    progress.Disconnected,
    progress.PeerRefused,
    progress.LeafNotRenewed,
    progress.PeerDropped,
    progress.PeerDeclined,
    progress.RoundDeclined,
    progress.SessionDeclined,
    progress.RoundLate,
    progress.UnmaskedHere,
    progress.SessionAborted,
)
_NAMES: Final = {"sid": "session", "task_id": "task", "round_no": "round"}


class _ConsoleLogger:
    """Prints lines through a rich console, so that a live display stays whole."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def msg(self, message: str) -> None:
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    debug = info = warning = error = msg


@contextlib.contextmanager
def opened_log(log: Log, console: Console | None = None) -> Iterator[Logger]:
    """Yield the program's logger.

    Args:
        log: where to, and from which level on.
        console: a terminal, for people; None for JSON on standard error.

    Raises:
        ConfigError: the file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        processors: list[Processor] = [structlog.processors.add_log_level, stamp]
        sink: Any
        if log.file is None and console is not None:
            sink = _ConsoleLogger(console)
            processors.append(structlog.dev.ConsoleRenderer(colors=False))
        else:
            file = (
                sys.stderr if log.file is None else stack.enter_context(_file(log.file))
            )
            sink = structlog.WriteLogger(file)
            processors.append(structlog.processors.JSONRenderer())
        for_people = isinstance(sink, _ConsoleLogger)
        level = logging.WARNING if for_people else _LEVELS[log.level]
        wrapper = structlog.make_filtering_bound_logger(level)
        logger = structlog.wrap_logger(sink, processors, wrapper_class=wrapper)
        with contextlib.nullcontext() if for_people else _end_told(logger):
            yield logger


@contextlib.contextmanager
def _end_told(logger: Logger) -> Iterator[None]:
    """Log why the program ends: who reads the log may not see its standard error.

    Of an error that nobody foresaw its name alone: its words may hold anything.
    """
    try:
        yield
    except Exception as error:
        said = str(error) if isinstance(error, SecaggError | ConfigError) else None
        name = type(error).__name__
        logger.error("ended", error=name, detail=said)  # noqa: TRY400 nor a traceback
        raise


def _file(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise ConfigError(
            f"the log {path} cannot be written: {error.strerror}"
        ) from None


def logged(logger: Logger) -> Observer:
    """Return an observer that logs what a driver reports."""

    def observe(event: Progress) -> None:
        say: Callable[..., Any] = logger.info
        if isinstance(event, _DETAILS):
            say = logger.debug
        elif isinstance(event, _WARNINGS):
            say = logger.warning
        say(name_of(event), **fields_of(event))

    return observe


def name_of(event: Progress) -> str:
    """Return an event's name in the log: ``session_began``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def fields_of(event: Progress) -> dict[str, Any]:
    """Return what a log line says of an event: names, numbers and hashes in short."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if value is None:
            continue
        if isinstance(value, RoundOpen):
            fields |= {"task": value.task_id, "round": value.round_no}
            fields["model"] = short(value.model_hash)
        else:
            fields[_NAMES.get(field.name, field.name)] = _plain(value)
    return fields


def short(digest: bytes) -> str:
    """Return the first digits of a hash or session id, enough to find it."""
    return digest.hex()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return short(value)
    return list(value) if isinstance(value, tuple) else value
