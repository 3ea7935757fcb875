"""How the model refuses: one exception, one door, the rule's number."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_off: set[str] = set()


@contextlib.contextmanager
def switched_off(rule: str) -> Iterator[None]:
    """Check everything but `rule`: shows whether a bad vector breaks that one alone."""
    _off.add(rule)
    try:
        yield
    finally:
        _off.discard(rule)


class RefusedError(Exception):
    """A rule of the spec was broken.

    Attributes:
        rule: the rule's number, such as ``4.6-2``.
        detail: why, for a reader.
        culprits: ids of those the breach is proved against.
    """

    def __init__(self, rule: str, detail: str, culprits: tuple[str, ...] = ()) -> None:
        """Record the breach."""
        self.rule = rule
        self.detail = detail
        self.culprits = culprits
        super().__init__(f"{rule}: {detail}")


def require(
    rule: str, holds: object, detail: str, culprits: tuple[str, ...] = ()
) -> None:
    """Refuse by `rule` unless `holds`.

    Raises:
        RefusedError: the rule is broken.
    """
    if not holds and rule not in _off:
        raise RefusedError(rule, detail, culprits)
