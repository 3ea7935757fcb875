"""Every error of the library, and the one door through which a check goes.

The tree::

    SecaggError
    |-- ParameterError        a parameter is out of its range: names it, gives the range
    |-- InputError            the caller's update cannot be used: names the tensor
    |-- CodecError            bytes that are no canonical message (a peer's breach too)
    |-- LocalProtocolError    our own caller asked for an illegal move
    |-- RemoteProtocolError   a peer broke a rule: .rule, .culprits
    |-- SessionAborted        the session ended without a sum: .code, .missing
    |-- RoundMissed           this silo was too late for the session: try the next round
    |-- ReleaseRefused        a check or the privacy budget refused the opened sum
    |-- ExecutorFailed        workers for unmasking are gone: the sum is opened without
    |-- StateError            the state directory is unusable: locked or torn
    |   `-- StateRolledBack   it is an older copy of what this hospital has done
    `-- ConnectionRefused     TLS, roster or identity did not match: .remedy
        `-- NotEnrolled       the newest roster does not have this identity, or no more

No error carries a secret: numbers, party names, rules and remedies only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class SecaggError(Exception):
    """The root of the tree; catching it catches all the library raises."""


class ParameterError(SecaggError):
    """A parameter is out of range; the message names it and gives the range."""


class InputError(SecaggError):
    """The caller's update cannot enter the sum; the message names the tensor."""


class LocalProtocolError(SecaggError):
    """Our own caller asked for a move the protocol does not allow."""


class RemoteProtocolError(SecaggError):
    """A peer broke a rule of the spec.

    Attributes:
        rule: the rule's number, such as ``4.6-2``; it is the wire's error code.
        culprits: ids of those the breach is proved against, sorted; may be empty.
    """

    def __init__(self, rule: str, detail: str, culprits: Iterable[str] = ()) -> None:
        """Record the breach of `rule` by `culprits`."""
        self.rule = rule
        self.detail = detail
        self.culprits = tuple(sorted(culprits))
        named = f" [{', '.join(self.culprits)}]" if self.culprits else ""
        super().__init__(f"rule {rule}: {detail}{named}")


class CodecError(RemoteProtocolError):
    """Bytes that no conforming peer sends: not canonical, too long, ill-typed."""


class SessionAborted(SecaggError):
    """The session ended without a sum; nothing was released by this silo's doing.

    Attributes:
        code: the rule that ended it.
        missing: ids of the members that were silent or dropped, sorted.
        attempts: aggregator: the round's sessions, each a `drivers.outcome.Attempt`
            with its sets and who was dropped for what.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        missing: Iterable[str] = (),
        attempts: Iterable[Any] = (),
    ) -> None:
        """Record why the session ended, who is missing, and what was tried."""
        self.attempts: tuple[Any, ...] = tuple(attempts)
        self.code = code
        self.detail = detail
        self.missing = tuple(sorted(missing))
        named = f"; missing: {', '.join(self.missing)}" if self.missing else ""
        super().__init__(f"session aborted by rule {code}: {detail}{named}")


class RoundMissed(SecaggError):
    """The session went on without this silo: fetch the next model and train again."""


class ReleaseRefused(SecaggError):
    """The opened sum was not released: a check failed or the budget is spent."""


class ExecutorFailed(SecaggError):
    """An executor did not do its work; the message says what becomes of it."""


class StateError(SecaggError):
    """The state directory is locked by another process, or damaged."""


class StateRolledBack(StateError):
    """The state directory has forgotten what this hospital did (rule 9-6)."""


class ConnectionRefused(SecaggError):
    """A connection could not be trusted; the message says what to do about it."""


class NotEnrolled(ConnectionRefused):
    """The newest roster does not have this identity: never had, or revoked it."""


def require(
    rule: str,
    condition: bool,
    detail: str,
    culprits: Iterable[str] = (),
    *,
    error: type[RemoteProtocolError] = RemoteProtocolError,
) -> None:
    """Refuse a peer's breach of `rule`. Every protocol check goes through here.

    Call it as ``errors.require(...)``: a test replaces this attribute to switch one
    rule off and shows that its negative vector is then accepted.

    Args:
        rule: the rule's number.
        condition: what the rule demands, as it is.
        detail: numbers and names for the message.
        culprits: ids of those the breach is proved against.
        error: `CodecError` where the breach is in the bytes.

    Raises:
        RemoteProtocolError: `condition` is false; of the class `error`.
    """
    if not condition:
        raise error(rule, detail, culprits)
