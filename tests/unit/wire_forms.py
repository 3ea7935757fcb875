"""What the tests of the codec share: samples as they lie on the wire, and bent ones."""

import copy
from typing import Any

import msgpack

from secagg import codec
from secagg import messages as msg
from tests.samples import SAMPLES

KINDS = list(SAMPLES)
NAMES = [kind.__name__ for kind in KINDS]
LONG_ID = "x" * 64
N = 10


def packed(value):
    return msgpack.packb(value, use_bin_type=True)


def decode(kind, wire, members=N):
    return codec.decode_body(kind.__name__, packed(wire), members=members)


def wire_with(kind, path, value):
    """The sample's wire form with one field replaced."""
    wire = copy.deepcopy(SAMPLES[kind][1])
    place = wire
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return wire


ROWS = {
    msg.Manifest: [(5,), (8,), (22,)],
    msg.Result: [(1,), (2,), (4,)],
    msg.Abort: [(2,)],
}
"""Where a message has rows of one shape: what is said of the first holds for all."""


def leaves(kind):
    """The paths of all fields that are no arrays, in the first of rows."""
    rows = ROWS.get(kind, [(0,)])
    found: set[tuple[int, ...]] = set()
    ahead: list[tuple[tuple[int, ...], Any]] = [((), SAMPLES[kind][1])]
    while ahead:
        path, wire = ahead.pop()
        if not isinstance(wire, list):
            found.add(path)
            continue
        items = wire[:1] if path in rows else wire
        ahead += [((*path, i), item) for i, item in enumerate(items)]
    return found
