"""Which models a hospital trains on: by their hash, or by their architecture.

A model made to draw out what its gradients hold has other layers, or other shapes, than
the one that was agreed on; so it is judged by its file's header, before any tensor is
read and before anybody trains on it. The values inside an architecture are not judged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container

from peers.model_file import header_of, model_hash
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


def check_model(
    blob: bytes,
    *,
    models: Container[bytes] | None = None,
    architectures: Container[bytes] | None = None,
) -> None:
    """Refuse a model that is not allowed here.

    Args:
        blob: the model that was fetched.
        models: SHA-256 of those that are allowed; None for any.
        architectures: what `architecture` gives for those that are; None for any.

    Raises:
        RemoteProtocolError: rule 4.1-5, with the digest that was found.
    """
    found = model_hash(blob)
    errors.require(
        "4.1-5",
        models is None or found in models,
        f"the model {found.hex()} is not in models (this hospital's policy)",
    )
    if architectures is None:
        return
    kind = architecture(blob)
    errors.require(
        "4.1-5",
        kind in architectures,
        f"the architecture {kind.hex()} is not in architectures (this hospital's"
        " policy)",
    )
