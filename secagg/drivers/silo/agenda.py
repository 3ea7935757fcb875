"""Agenda: which round is open, and which ones a silo has taken up (spec 8).

Rounds are numbered within their task, and a task's first round is 1: a number alone
says nothing, so all that is compared here is compared within one task. An aggregator
has one round open at a time.
"""

from __future__ import annotations

from secagg import errors
from secagg.messages import Declined, Missed, RoundOpen


class Agenda:
    """The rounds as one silo sees them.

    Attributes:
        opened: the round that was announced last.
        claimed: the round that was taken up and has no contribution yet.
    """

    def __init__(self) -> None:
        """Start without any round."""
        self.opened: RoundOpen | None = None
        self.claimed: RoundOpen | None = None
        self._declined: Declined | None = None
        self._taken: dict[str, int] = {}

    @property
    def waits(self) -> bool:
        """Whether a round waits for this silo: a new one, or one it took up."""
        return self.claimed is not None or self._new() is not None

    def take_up(self) -> RoundOpen | None:
        """Take up the open round; None if there is none that is new."""
        opened = self._new()
        if opened is None:
            return None
        self._taken[opened.task_id] = opened.round_no
        self.claimed = opened
        return opened

    def decline(self, rule: str, detail: str) -> Declined:
        """Give up the round that was taken up; return what to say of it.

        Raises:
            LocalProtocolError: none is.
        """
        claimed = self.claimed
        if claimed is None:
            raise errors.LocalProtocolError("no round is taken up: nothing to decline")
        self.claimed = None
        self._declined = Declined(
            task_id=claimed.task_id,
            round_no=claimed.round_no,
            rule=rule,
            detail=detail,
        )
        return self._declined

    def declined(self, opened: RoundOpen) -> Declined | None:
        """Return what was said of a round, if it was declined (rule 8-10)."""
        said = self._declined
        if said is None or (said.task_id, said.round_no) != (
            opened.task_id,
            opened.round_no,
        ):
            return None
        return said

    def model_size(self, digest: bytes) -> int:
        """Return the bytes of the model that is to be trained on now.

        Raises:
            LocalProtocolError: `digest` is another's.
        """
        opened = self.claimed or self.opened
        if opened is None or opened.model_hash != digest:
            raise errors.LocalProtocolError(
                f"{digest.hex()[:16]} is not the open round's model: give its size"
            )
        return opened.model_size

    def _new(self) -> RoundOpen | None:
        opened = self.opened
        if opened is None or opened.round_no <= self._taken.get(opened.task_id, 0):
            return None
        return opened


def is_over(ours: RoundOpen, now: RoundOpen) -> bool:
    """Return whether `ours` is over once `now` is open."""
    return now.task_id != ours.task_id or now.round_no > ours.round_no


def is_missed(ours: RoundOpen, missed: Missed) -> bool:
    """Return whether `missed` ends our round, not only one before it."""
    return missed.task_id != ours.task_id or missed.round_no >= ours.round_no
