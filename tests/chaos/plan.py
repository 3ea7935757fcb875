"""Who is killed where, and when a line is struck: drawn from the seed alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from secagg.names import PeerId
from tests.chaos.terms import AGGREGATOR, Terms
from tests.proxy import DOWN, UP, Blow, Strike

HOSPITAL_EFFECTS = {
    "PersistJoined": "AdvertiseKeys",
    "Joined": "AdvertiseKeys",
    "Send AdvertiseKeys": "AdvertiseKeys",
    "Send ShareKeys": "ShareKeys",
    "Send ShareAck": "ShareAck",
    "MaskVector": "MaskedInput",
    "Uploaded": "MaskedInput",
    "PersistSpent": "MaskedInput",
    "Send MaskedInput": "MaskedInput",
    "Send Consistency": "Consistency",
    "Send Unmasking": "Unmasking",
    "PersistHead": "Result",
    "Completed": "Result",
}
"""What a hospital dies at, right before or right after, and the phase that is."""

AGGREGATOR_EFFECTS = {
    "Send Manifest": "AdvertiseKeys",
    "Journal AdvertiseKeys": "AdvertiseKeys",
    "Send KeyList": "ShareKeys",
    "Journal ShareKeys": "ShareKeys",
    "Send DealtShares": "ShareAck",
    "Journal ShareAck": "ShareAck",
    "Send DealerList": "MaskedInput",
    "ChunkStored": "MaskedInput",
    "Journal VectorStored": "MaskedInput",
    "Journal MaskedInput": "MaskedInput",
    "Send InputList": "Consistency",
    "Journal Consistency": "Consistency",
    "Send Certificate": "Unmasking",
    "Journal Unmasking": "Unmasking",
    "OpenSum": "Result",
    "Journal SumOpened": "Result",
    "Send Result": "Result",
    "Completed": "Result",
}
"""The same for the aggregator."""

ONCE = frozenset({*HOSPITAL_EFFECTS, "OpenSum", "Journal SumOpened", "Completed"})
"""What there is one of in a session, for one party."""

KILLS_OF_HOSPITALS = (0, 0, 0, 1, 1, 1, 2, 3)
"""How many in a round, each as likely; two are borne at n = 6, three are not."""

AGGREGATOR_DIES = 0.3
"""The chance, in each round."""

BLOWS = (
    *(Blow.CUT,) * 6,
    *(Blow.TRUNCATED,) * 3,
    *(Blow.HALF_OPEN,) * 3,
    *(Blow.DELAYED,) * 5,
    *(Blow.DROPPED,) * 2,
    Blow.REPEATED,
)
LONGEST_DELAY = 0.8
BYTES_BETWEEN = {UP: 40_000, DOWN: 60_000}
"""On average, on one line; a session of a small vector moves about 15 kB each way."""

STRIKES = 2000
"""More than any run comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One party dies, once, in one round.

    Attributes:
        key: a name for it.
        party: who.
        effect: at what.
        nth: of its kind, in the life of the process that dies.
        after: right after it; else right before.
    """

    key: str
    party: PeerId
    effect: str
    nth: int
    after: bool


@functools.cache
def kills(terms: Terms, round_no: int) -> tuple[Kill, ...]:
    """Return who is killed in a round."""
    rng = terms.rng("kills", round_no)
    count = int(rng.choice(KILLS_OF_HOSPITALS))
    victims = list(rng.choice(terms.peers, size=count, replace=False))
    drawn = [(PeerId(str(u)), HOSPITAL_EFFECTS) for u in victims]
    if rng.random() < AGGREGATOR_DIES:
        drawn.append((AGGREGATOR, AGGREGATOR_EFFECTS))
    found = []
    for party, effects in drawn:
        phase = str(rng.choice(sorted({*effects.values()})))
        effect = str(rng.choice([e for e in effects if effects[e] == phase]))
        most = 1 if effect in ONCE else terms.hospitals - 2
        nth, after = 1 + int(rng.integers(most)), bool(rng.integers(2))
        key = f"{round_no}.{party}"
        found.append(Kill(key=key, party=party, effect=effect, nth=nth, after=after))
    return tuple(found)


def strikes(terms: Terms, peer: PeerId) -> list[Strike]:
    """Return what happens on a hospital's line, by bytes that pass."""
    rng = terms.rng("strikes", peer)
    drawn = []
    for way, between in BYTES_BETWEEN.items():
        places = rng.exponential(between, STRIKES).cumsum()
        drawn += [
            Strike(
                way=way,
                at=int(at),
                blow=Blow(rng.choice(BLOWS)),
                seconds=float(rng.uniform(0, LONGEST_DELAY)),
            )
            for at in places
        ]
    return drawn
