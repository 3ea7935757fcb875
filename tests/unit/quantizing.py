"""What the tests of the number layer share: scales, integers, and the worst words."""

import numpy as np
from hypothesis import strategies as st

from secagg import field
from secagg.crypto import prg
from secagg.quantize import QuantizedUpdate
from secagg.scale import Scale

KEY = bytes(range(32))
P = field.PRIMES[32]
FLOATS = st.floats(-1e6, 1e6)
UPDATES = st.lists(FLOATS, min_size=1, max_size=20)


def scale_of(update, bits=16, clip=1.0, reach=None):
    reach = clip if reach is None else reach
    return Scale.even(bits=bits, clip=clip, coordinate_range=reach, length=len(update))


def quantized(update, scale, weight=1.0, key=KEY):
    return QuantizedUpdate(update, scale, weight=weight, rounding_key=key)


def integers(update, scale, weight=1.0, key=KEY):
    found = quantized(update, scale, weight, key).chunk(0, len(update), P)
    return field.centre(found, P)


def away_from_zero(monkeypatch, signs):
    """Give the words that round every coordinate away from zero."""
    worst = np.where(np.asarray(signs) < 0, 2**32 - 1, 0).astype(np.uint32)

    drawn = prg.Keystream.fill

    def fill(stream, out):
        start = stream.position
        drawn(stream, out)
        if stream._tag is prg.Tag.ROUND:
            out[:] = worst[start : start + len(out)]

    monkeypatch.setattr(prg.Keystream, "fill", fill)
