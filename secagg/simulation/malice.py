"""Dishonest parties for scenarios: each does one thing the protocol must withstand.

A dishonest party holds its real keys, so what it alters it also signs. `MALICE` lists
who can do what; SECURITY.md says what each attempt comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from secagg import codec, errors
from secagg import messages as msg
from secagg.cohort import Carried, Cohort, Network
from secagg.contribution import Contribution
from secagg.crypto.prg import Tag, elements
from secagg.identity import Identity
from secagg.names import InputVector, PeerId
from secagg.signing import seal

Alter = Callable[[msg.Message], msg.Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage(Contribution):
    """Uniform field elements in place of an update."""

    def window(self, start: int, stop: int) -> InputVector:
        """Return elements of a stream that nobody else knows."""
        noise = elements(bytes(32), Tag.NOISE, self.params.width, start, stop)
        return InputVector(noise)


def spoil_with_garbage(honest: Contribution) -> Contribution:
    """Return a vector no honest silo could send."""
    return Garbage(
        params=honest.params, coordinates=honest.coordinates, tail=honest.tail
    )


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def bad_shares(message: msg.Message) -> msg.Message:
    """Deal shares that nobody can open."""
    assert isinstance(message, msg.ShareKeys)  # noqa: S101 see SILO_MALICE
    entries = tuple(
        entry if entry.sealed is None else replace(entry, sealed=_flip(entry.sealed))
        for entry in message.entries
    )
    return msg.ShareKeys(entries=entries)


def false_complaint(message: msg.Message) -> msg.Message:
    """Complain about every dealer."""
    assert isinstance(message, msg.ShareAck)  # noqa: S101 see SILO_MALICE
    return msg.ShareAck(bitmap=bytes(len(message.bitmap)))


def wrong_root(message: msg.Message) -> msg.Message:
    """State another root than that of the chunks sent."""
    assert isinstance(message, msg.MaskedInput)  # noqa: S101 see SILO_MALICE
    return msg.MaskedInput(root=_flip(message.root))


def wrong_share(message: msg.Message) -> msg.Message:
    """Release shares that were never dealt."""
    assert isinstance(message, msg.Unmasking)  # noqa: S101 see SILO_MALICE
    shares = (share and _flip(share) for share in message.shares)
    return msg.Unmasking(shares=tuple(shares))


def shrunk_view(message: msg.Message) -> msg.Message:
    """Leave the last member out of U3; told to half of the cohort."""
    assert isinstance(message, msg.InputList)  # noqa: S101 see SILO_MALICE
    return msg.InputList(entries=message.entries[:-1])


def swapped_key(message: msg.Message) -> msg.Message:
    """Put one member's keys in the place of another's."""
    assert isinstance(message, msg.KeyList)  # noqa: S101 see SILO_MALICE
    first, second, *rest = message.entries
    return msg.KeyList(entries=(first, replace(second, keys=first.keys), *rest))


GARBAGE = "garbage"
SILO_MALICE: Mapping[str, tuple[str, Alter]] = {
    "bad-shares": ("ShareKeys", bad_shares),
    "false-complaint": ("ShareAck", false_complaint),
    "wrong-root": ("MaskedInput", wrong_root),
    "wrong-share": ("Unmasking", wrong_share),
}
AGGREGATOR_MALICE: Mapping[str, tuple[str, Alter]] = {
    "split-view": ("InputList", shrunk_view),
    "swapped-key": ("KeyList", swapped_key),
}


def check_malice(
    malice: Mapping[PeerId, str], silos: Collection[PeerId], aggregator: PeerId
) -> None:
    """Refuse what a party cannot do, and parties that there are not.

    Raises:
        ParameterError: with the names that can be asked for.
    """
    for peer, name in malice.items():
        if peer not in silos and peer != aggregator:
            raise errors.ParameterError(
                f"no party {peer!r} to be dishonest: there are {min(silos)} to"
                f" {max(silos)}, and {aggregator}"
            )
        known = [*AGGREGATOR_MALICE] if peer == aggregator else [*SILO_MALICE, GARBAGE]
        if name not in known:
            raise errors.ParameterError(
                f"{peer} cannot do {name!r}: choose from {', '.join(sorted(known))}"
            )


def network(
    cohort: Cohort,
    identities: Mapping[PeerId, Identity],
    malice: Mapping[PeerId, str],
    slow: Iterable[PeerId],
) -> Network:
    """Return what becomes of envelopes among these dishonest and slow parties.

    Args:
        cohort: the session.
        identities: of everybody; the dishonest sign with theirs.
        malice: what each dishonest party does.
        slow: whose statement comes only after the InputList is out.
    """
    held: list[Carried] = []
    late = frozenset(slow)

    def carry(carried: Carried) -> Iterable[Carried]:
        kind = carried.envelope.type
        if carried.sender in late and kind == "MaskedInput":
            held.append(carried)
            return ()
        waiting = [*held] if kind == "InputList" else []
        del held[: len(waiting)]
        return (*_altered(carried, cohort, identities, malice), *waiting)

    return carry


def _altered(
    carried: Carried,
    cohort: Cohort,
    identities: Mapping[PeerId, Identity],
    malice: Mapping[PeerId, str],
) -> Iterable[Carried]:
    sender, envelope = carried.sender, carried.envelope
    tricks = AGGREGATOR_MALICE if sender == cohort.aggregator else SILO_MALICE
    kind, alter = tricks.get(malice.get(sender, ""), (None, None))
    if alter is None or envelope.type != kind:
        return (carried,)
    members = cohort.server.params.members
    half = members[: len(members) // 2]
    if kind == "InputList" and carried.receiver not in half:
        return (carried,)
    message = codec.decode_body(kind, envelope.body, members=len(members))
    # Before the receiver handles it, sender or receiver holds the transcript it is
    # signed under.
    witness = carried.receiver if sender == cohort.aggregator else sender
    signed = seal(
        alter(message),
        identity=identities[sender],
        receiver=envelope.receiver,
        sid=envelope.sid,
        h=cohort.clients[witness].transcript or b"",
    )
    return (replace(carried, envelope=signed),)
