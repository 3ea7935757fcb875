"""TenSEAL CKKS: encrypt, serialise, add ciphertexts, decrypt.

One key pair is shared by all clients, and the server holds the public context; degree
8,192, coefficients of 60, 40 and 40 bits, scale 2^40. The clients are run batch by
batch; a vector is added as it comes and then forgotten.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import tenseal as ts

from tests.benchmarks.others.vectors import PeakMemory, batches, error, vector


class Ckks:
    """A cohort of clients with one key, and their server."""

    def __init__(self, count: int, length: int, parts: int, lost: int) -> None:
        """Make the keys.

        Args:
            count: n.
            length: m.
            parts: batches.
            lost: the last so many are left out of the second sum.
        """
        self._length, self._stay, self._count = length, count - lost, count
        self._parts = batches(count, parts)
        self._secret = ts.context(
            ts.SCHEME_TYPE.CKKS,
            poly_modulus_degree=8192,
            coeff_mod_bit_sizes=[60, 40, 40],
        )
        self._secret.global_scale = 2**40
        public = self._secret.serialize(save_secret_key=False)
        self._public = ts.context_from(public)
        self._sum: ts.CKKSVector | None = None
        self._client: list[list[float]] = []
        self._server: list[list[float]] = []
        self._bytes = 0
        self._memory = 0.0
        self._server_memory = 0.0
        self._decrypt = 0.0
        self._errors: dict[str, float] = {}

    def add(self, part: int) -> dict[str, float]:
        """Run one batch of clients, and add what they send."""
        client, server = [], []
        for place in self._parts[part]:
            update = vector(place, self._length)
            memory = PeakMemory()
            began = time.perf_counter()
            sent = ts.ckks_vector(self._secret, update).serialize()
            client.append(time.perf_counter() - began)
            self._memory, self._bytes = memory.beyond(), len(sent)
            memory = PeakMemory()
            began = time.perf_counter()
            arrived = ts.ckks_vector_from(self._public, sent)
            self._sum = arrived if self._sum is None else self._sum.add_(arrived)
            server.append(time.perf_counter() - began)
            held = memory.beyond() + len(sent)
            self._server_memory = max(self._server_memory, held)
            if place + 1 in {self._stay, self._count}:
                self._open(place + 1)
        self._client.append(client)
        self._server.append(server)
        return {"seconds": sum(client) + sum(server)}

    def result(self) -> dict[str, object]:
        """Return what a client and the server took; the latter for all and for some."""
        each = [statistics.mean(one) for one in self._server]
        return {
            "client": [statistics.median(one) + self._decrypt for one in self._client],
            "server": {
                str(self._count): [one * self._count for one in each],
                str(self._stay): [one * self._stay for one in each],
            },
            "bytes": self._bytes,
            "memory": self._memory,
            "server_memory": self._server_memory,
            "error": self._errors,
        }

    def _open(self, count: int) -> None:
        assert self._sum is not None
        data = self._sum.serialize()
        began = time.perf_counter()
        opened = ts.ckks_vector_from(self._secret, data).decrypt()
        self._decrypt = time.perf_counter() - began
        mean = np.array(opened) / count
        self._errors[str(count)] = error(mean, range(count))
