"""Findings: one line a check, ok, warning or failed, with the remedy in it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from peers.card import EnrolmentError
from peers.toml_file import ConfigError
from secagg.drivers.wire.transport import ConnectionLost
from secagg.errors import SecaggError


class Level(enum.StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


MENDABLE: Final = (SecaggError, ConfigError, EnrolmentError, ConnectionLost)
"""The errors whose text says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name, such as ``clock``.
        level: how it came out.
        detail: what was found; for a warning or a failure also what to do.
    """

    check: str
    level: Level
    detail: str

    def row(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "check": self.check,
            "level": self.level.value,
            "detail": self.detail,
        }


Shown: TypeAlias = Callable[[Finding], None]


class Report:
    """The findings so far; each is shown as it comes."""

    def __init__(self, shown: Shown = lambda _: None) -> None:
        """Begin with none."""
        self.findings: list[Finding] = []
        self._shown = shown

    @property
    def passed(self) -> bool:
        """Whether nothing failed; warnings do not count."""
        return all(finding.level is not Level.FAILED for finding in self.findings)

    def passed_check(self, check: str) -> bool:
        """Return whether this check was made and did not fail."""
        levels = [one.level for one in self.findings if one.check == check]
        return bool(levels) and Level.FAILED not in levels

    def ok(self, check: str, detail: str) -> None:
        """Note that all is well."""
        self._add(Finding(check, Level.OK, detail))

    def warn(self, check: str, detail: str) -> None:
        """Note what may be meant so."""
        self._add(Finding(check, Level.WARNING, detail))

    def fail(self, check: str, detail: str) -> None:
        """Note what has to be mended."""
        self._add(Finding(check, Level.FAILED, detail))

    def checking(self, check: str) -> Checking:
        """Turn an error that says its remedy into a failure of `check`."""
        return Checking(self, check)

    def _add(self, finding: Finding) -> None:
        self.findings.append(finding)
        self._shown(finding)


class Checking:
    """The block of one check; an error that says its remedy ends the block alone."""

    def __init__(self, report: Report, check: str) -> None:
        """Say what goes wrong to `report`."""
        self._report = report
        self._check = check

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: object, error: BaseException | None, trace: object
    ) -> bool:
        """Note an error that can be mended; let others through."""
        del kind, trace
        if not isinstance(error, MENDABLE):
            return False
        self._report.fail(self._check, str(error))
        return True
