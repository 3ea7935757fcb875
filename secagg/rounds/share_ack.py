"""ShareAck: which dealers' shares arrived whole, and so who is in U2 (spec 4.4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from secagg import errors
from secagg.messages import DealerList, ShareAck
from secagg.names import PeerId
from secagg.params import Parameters
from secagg.rounds.advertise_keys import check_size, check_sorted_within


def client_ack(held: Collection[PeerId], u1: Sequence[PeerId]) -> ShareAck:
    """Say by a bitmap over U1 whose shares this client verified and holds."""
    bitmap = bytearray(bitmap_size(u1))
    for index, dealer in enumerate(u1):
        if dealer in held:
            bitmap[index // 8] |= 1 << (index % 8)
    return ShareAck(bitmap=bytes(bitmap))


def bitmap_size(u1: Sequence[PeerId]) -> int:
    """Return the bytes of a bitmap over U1."""
    return -(-len(u1) // 8)


def acked(bitmap: bytes, u1: Sequence[PeerId]) -> frozenset[PeerId]:
    """Return the members whose bit is 1.

    Pre: len(bitmap) == bitmap_size(u1).
    """
    bits = int.from_bytes(bitmap, "little")
    return frozenset(v for index, v in enumerate(u1) if bits >> index & 1)


def server_accept(
    message: ShareAck,
    *,
    holder: PeerId,
    u1: Sequence[PeerId],
    dealers: Collection[PeerId],
) -> frozenset[PeerId]:
    """Check a bitmap and return the dealers it confirms.

    A holder's own bit does not count against it: it cannot know that its own shares
    came too late.

    Raises:
        RemoteProtocolError: rule 4.4-1.
    """
    size, exact = len(message.bitmap), bitmap_size(u1)
    bits = int.from_bytes(message.bitmap, "little")
    ones = acked(message.bitmap, u1)
    errors.require(
        "4.4-1",
        size == exact and bits >> len(u1) == 0 and ones - {holder} <= set(dealers),
        f"a bitmap of {size} bytes, or ones for others that did not deal",
        [holder],
    )
    return ones & set(dealers)


def complaints(dealer: PeerId, acks: Collection[frozenset[PeerId]]) -> int:
    """Return how many of those that acked did not confirm the dealer's shares."""
    return sum(dealer not in confirmed for confirmed in acks)


def server_dealer_list(
    acks: Mapping[PeerId, frozenset[PeerId]],
    dealers: Collection[PeerId],
    params: Parameters,
) -> DealerList:
    """Close the round: U2 is who has at least t ones and at most c zeros.

    Raises:
        RemoteProtocolError: rule 4.4-3, |U2| < q.
    """

    def recoverable(dealer: PeerId) -> bool:
        zeros = complaints(dealer, acks.values())
        return len(acks) - zeros >= params.t and zeros <= params.c

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
