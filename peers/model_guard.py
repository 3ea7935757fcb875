"""Which models a hospital trains on, by their architecture.

Which by their hash, its policy says before one is fetched. A model made to draw out
what its gradients hold has other layers, or other shapes, than the one that was agreed
on; so it is judged by its file's header, before any tensor is read and before anybody
trains on it. The values inside an architecture are not judged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection

from peers.model_file import header_of
from secagg import errors


def architecture(blob: bytes) -> bytes:
    """Return the SHA-256 of a model's tensors: names, element types and shapes.

    Args:
        blob: a safetensors file; what it holds beside tensors does not count.

    Raises:
        InputError: it is none.
    """
    header = header_of(blob)
    rows = [[name, header[name]["dtype"], header[name]["shape"]] for name in header]
    return hashlib.sha256(json.dumps(sorted(rows)).encode("ascii")).digest()


def check_architecture(blob: bytes, allowed: Collection[bytes] | None) -> None:
    """Refuse a model of an architecture that is not allowed here.

    Args:
        blob: the model that was fetched.
        allowed: what `architecture` gives for those that are; None for any.

    Raises:
        RemoteProtocolError: rule 4.1-5, with the digest that was found.
    """
    if allowed is None:
        return
    found = architecture(blob)
    errors.require(
        "4.1-5",
        found in allowed,
        f"architecture {found.hex()} is not among the {len(allowed)} of architectures"
        " (this hospital's policy)",
    )
