"""ChaCha20 in plain integers, to compare with."""


def _rotate(x, k):
    return ((x << k) | (x >> (32 - k))) & 0xFFFFFFFF


def _quarter(s, a, b, c, d):
    for x, y, z, k in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        s[z] = _rotate(s[z] ^ s[x], k)


def chacha_block(key, last):
    """RFC 8439 2.3 with the four last state words given."""
    constants = [
        int.from_bytes(b"expand 32-byte k"[i : i + 4], "little") for i in (0, 4, 8, 12)
    ]
    middle = [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
    start = constants + middle + list(last)
    s = list(start)
    for _ in range(10):
        for i in range(4):
            _quarter(s, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            _quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(x + y) & 0xFFFFFFFF for x, y in zip(s, start, strict=True)]


def slow_word(key, tag, position, lane=0):
    last = ((position & 0xFFFFFFFF) >> 4, position >> 32, lane, int(tag))
    return chacha_block(key, last)[position & 15]
