"""The vector files as the tests of secagg read them; nothing of the model."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import protocol_spec
from secagg.params import Parameters
from secagg.roster import Roster, SignedRoster
from secagg.roster_chain import RosterChain

FOLDER = pathlib.Path(protocol_spec.__file__).parent / "vectors" / "v1"


@cache
def content(name: str) -> dict[str, Any]:
    """One file, by its name without .json."""
    read: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("ascii"))
    return read


@cache
def names(kind: str, *, bad: bool | None = None) -> list[str]:
    """The files of a kind, good or bad if it is given."""
    found = sorted(path.stem for path in FOLDER.glob("*.json"))
    return [
        name
        for name in found
        if content(name).get("kind") == kind and (bad is None or bad == is_bad(name))
    ]


def is_bad(name: str) -> bool:
    """Whether the file holds something that must be refused."""
    return "_bad_" in name


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


class ScriptedEntropy:
    """Draws by label as a file has them; what it has not, nobody may draw."""

    def __init__(self, draws: Mapping[str, Sequence[str]]) -> None:
        self._left = {label: [unhex(x) for x in xs] for label, xs in draws.items()}

    def draw(self, label: str, size: int) -> bytes:
        drawn = self._left[label].pop(0)
        assert len(drawn) == size, label
        return drawn

    @property
    def left(self) -> list[str]:
        """Labels with draws that nobody took."""
        return [label for label, draws in self._left.items() if draws]


def roster_of(given: Mapping[str, str]) -> Roster:
    """The roster of a file, its signature verified."""
    return signed_of(given).verify(unhex(given["consortium_key"]))


def signed_of(given: Mapping[str, str]) -> SignedRoster:
    """The roster of a file as it is signed, not verified."""
    return SignedRoster.from_wire(unhex(given["body"]), unhex(given["signature"]))


def chain_of(file: Mapping[str, Any]) -> RosterChain:
    """The versions of a file, verified."""
    versions = [signed_of(given) for given in (*file["earlier"], file["roster"])]
    return RosterChain.opened(versions, unhex(file["roster"]["consortium_key"]))


def derived_of(params: Parameters) -> dict[str, Any]:
    """What 2.2 derives, named as in the files."""
    return {
        "n": params.n,
        "c": params.c,
        "q": params.q,
        "k": params.degree.k,
        "c_k": params.degree.corrupt,
        "t": params.t,
        "L": params.degree.least,
        "floor": params.floor,
        "d": params.tolerated,
        "x_max": params.scale.x_max,
        "delta_int": params.scale.delta_int,
        "w": params.width,
        "p": params.p,
        "limb_bits": params.limb_bits,
        "extras": [[e.name, e.low, e.high] for e in params.extras],
        "limbs": [place.count for place in params.limbs],
        "M": params.total_length,
    }
