"""Secrets whose every byte a test knows, and the look for them in all that is left.

A canary may be written as it is, in hexadecimal, in base64 at any offset, as Python
shows bytes, or as the integer that it stands for.
"""

from __future__ import annotations

import base64
import collections
from collections.abc import Iterable, Iterator
from pathlib import Path

SECRET = ("b_u", "s_sk", "c_sk", "round", "noise_seed", "share_b", "share_s")
"""Labels of draws that nobody else may see."""

LEAST = 16
"""Bytes of a secret below which it could turn up by chance."""


def written(secret: bytes) -> Iterator[bytes]:
    """Every way in which a secret may stand in a file."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield secret.hex(" ").encode()
    yield repr(secret)[2:-1].encode()
    yield str([*secret])[1:-1].encode()
    for order in ("little", "big"):
        number = int.from_bytes(secret, order)
        yield str(number).encode()
        yield f"{number:x}".encode()
    for offset in range(3):
        # Less the digits that what stands before and behind has a part in.
        coded = base64.b64encode(bytes(offset) + secret)
        inner = coded[4 if offset else 0 : len(coded) - 4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


class Canaries:
    """The secrets of a run, by what they are for."""

    def __init__(self) -> None:
        self.secrets: dict[str, set[bytes]] = collections.defaultdict(set)

    def note(self, label: str, secret: bytes) -> None:
        """Remember a secret."""
        if len(secret) >= LEAST:
            self.secrets[label].add(bytes(secret))

    def found_in(self, data: bytes) -> list[str]:
        """What a text or a file holds of them."""
        return [
            label
            for label, secrets in self.secrets.items()
            if any(form in data for secret in secrets for form in written(secret))
        ]

    def found_below(self, folder: Path, spared: Iterable[str] = ()) -> list[str]:
        """What the files below a folder hold of them; `spared` names are not read."""
        kept = {*spared}
        found = []
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in kept:
                leaked = self.found_in(path.read_bytes())
                found += [f"{path.relative_to(folder)}: {label}" for label in leaked]
        return found
