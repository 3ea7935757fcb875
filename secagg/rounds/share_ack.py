"""ShareAck: which dealers' shares arrived whole, and so who is in U2 (spec 4.4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from secagg import errors
from secagg.messages import DealerList, ShareAck
from secagg.names import PeerId
from secagg.params import Parameters
from secagg.rounds.advertise_keys import check_size, check_sorted_within
from secagg.rounds.neighbourhood import Neighbourhoods


def client_ack(held: Collection[PeerId], near: Sequence[PeerId]) -> ShareAck:
    """Say by a bitmap over N[v] in U1 whose shares this client verified and holds."""
    bitmap = bytearray(bitmap_size(near))
    for index, dealer in enumerate(near):
        if dealer in held:
            bitmap[index // 8] |= 1 << (index % 8)
    return ShareAck(bitmap=bytes(bitmap))


def bitmap_size(near: Sequence[PeerId]) -> int:
    """Return the bytes of a bitmap over so many."""
    return -(-len(near) // 8)


def acked(bitmap: bytes, near: Sequence[PeerId]) -> frozenset[PeerId]:
    """Return the members whose bit is 1.

    Pre: len(bitmap) == bitmap_size(near).
    """
    bits = int.from_bytes(bitmap, "little")
    return frozenset(v for index, v in enumerate(near) if bits >> index & 1)


def server_accept(
    message: ShareAck,
    *,
    holder: PeerId,
    near: Sequence[PeerId],
    dealers: Collection[PeerId],
) -> frozenset[PeerId]:
    """Check a bitmap over `near`, N[v] in U1, and return the dealers it confirms.

    A holder's own bit does not count against it: it cannot know that its own shares
    came too late.

    Raises:
        RemoteProtocolError: rule 4.4-1.
    """
    size, exact = len(message.bitmap), bitmap_size(near)
    bits = int.from_bytes(message.bitmap, "little")
    ones = acked(message.bitmap, near)
    errors.require(
        "4.4-1",
        size == exact and bits >> len(near) == 0 and ones - {holder} <= set(dealers),
        f"a bitmap of {size} bytes, or ones for others that did not deal",
        [holder],
    )
    return ones & set(dealers)


@dataclass(frozen=True, slots=True)
class Tally:
    """What those of N[u] that acked say of a dealer u."""

    ones: int
    zeros: int


def tally(
    dealer: PeerId, acks: Mapping[PeerId, frozenset[PeerId]], near: Neighbourhoods
) -> Tally:
    """Count who of N[u] confirmed the dealer's shares, and who did not."""
    heard = [acks[holder] for holder in near[dealer] if holder in acks]
    ones = sum(dealer in confirmed for confirmed in heard)
    return Tally(ones, len(heard) - ones)


def server_dealer_list(
    acks: Mapping[PeerId, frozenset[PeerId]],
    dealers: Collection[PeerId],
    near: Neighbourhoods,
    params: Parameters,
) -> DealerList:
    """Close the round: U2 is who has at least L + 1 ones and at most c_k zeros.

    Raises:
        RemoteProtocolError: rule 4.4-3, |U2| < q.
    """
    degree = params.degree

    def recoverable(dealer: PeerId) -> bool:
        said = tally(dealer, acks, near)
        return said.ones > degree.least and said.zeros <= degree.corrupt

    u2 = tuple(dealer for dealer in sorted(dealers) if recoverable(dealer))
    check_size("4.4-3", "U2", len(u2), params.q)
    return DealerList(dealers=u2)


def client_accept_dealer_list(
    message: DealerList, *, u1: Sequence[PeerId], params: Parameters
) -> tuple[PeerId, ...]:
    """Check L2 and return U2.

    Raises:
        RemoteProtocolError: rules 4.4-2, 4.4-3.
    """
    check_sorted_within("4.4-2", "U2", list(message.dealers), set(u1))
    check_size("4.4-3", "U2", len(message.dealers), params.q)
    return message.dealers
