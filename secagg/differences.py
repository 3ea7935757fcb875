"""How far the sets of sums lie apart: what subtraction shows (spec 4.5-8).

Two sums over {1, 2, 3, 4, 5} and {1, 2, 3, 4} of numbers that stayed the same give away
member 5, however well each was masked. A hospital that keeps a floor votes for no sum
whose set differs from an earlier one by fewer members.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from secagg import errors
from secagg.messages import Manifest
from secagg.names import PeerId


@dataclass(frozen=True, slots=True)
class SummedSet:
    """Whose numbers one sum is of, as far as a hospital knows.

    Attributes:
        peers: U3.
        model_hash: the model that the updates belong to, 32 bytes.
        constants: whether numbers were summed that may stay the same from round to
            round: weights, or declared extras.
    """

    peers: frozenset[PeerId]
    model_hash: bytes
    constants: bool

    @classmethod
    def of(cls, manifest: Manifest, u3: Iterable[PeerId]) -> Self:
        """Return the set of the session of `manifest`."""
        constants = manifest.weighting == "weighted" or bool(manifest.extras)
        return cls(frozenset(u3), manifest.model_hash, constants)

    def may_share(self, other: SummedSet) -> bool:
        """Return whether a member's numbers may be the same in both sums.

        Weights and extras may in any two; an update, where both are on one model: who
        trains again on it may get the same.
        """
        same_model = self.model_hash == other.model_hash
        return same_model or (self.constants and other.constants)


def check_apart(new: SummedSet, earlier: Iterable[SummedSet], least: int) -> None:
    """Check that a sum tells nothing of fewer than `least` members beside another.

    Args:
        new: the set that is to be voted for.
        earlier: those that may have been opened, of whichever task.
        least: the policy's smallest difference; 0 allows any.

    Raises:
        RemoteProtocolError: rule 4.5-8, with both values.
    """
    if least == 0:
        return
    for past in earlier:
        if not new.may_share(past):
            continue
        between = sorted(new.peers ^ past.peers)
        errors.require(
            "4.5-8",
            not between or len(between) >= least,
            f"U3 differs from that of an earlier sum by {len(between)}, below"
            f" min_difference {least} (this hospital's policy): {', '.join(between)}",
        )
