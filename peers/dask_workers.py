"""The workers of a Dask cluster, on which the aggregator has its masks expanded.

The only module that imports `distributed`, which the extra `dask` brings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor
from types import ModuleType
from typing import Final

from peers.toml_file import ConfigError

CONNECT_SECONDS: Final = 10.0
"""How long the scheduler may take to answer when the program starts."""


def load_library() -> ModuleType:
    """Return `distributed`, which takes a second to load.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "[unmasking] dask needs Dask's distributed, which is not installed:"
            " pip install 'secagg[dask]', here and on every worker"
        ) from error
    library: ModuleType = distributed
    return library


@contextlib.contextmanager
def opened_workers(address: str | None) -> Iterator[Executor | None]:
    """Yield an executor on a cluster's workers; None where there is no address.

    A ``tls://`` address takes its certificates from Dask's own configuration
    (``distributed.comm.tls``). Every worker has to have this version of secagg.

    Args:
        address: the scheduler's, ``tls://host:port`` or ``tcp://host:port``.

    Raises:
        ConfigError: the extra is missing, or the scheduler does not answer.
    """
    if address is None:
        yield None
        return
    library = load_library()
    with contextlib.ExitStack() as stack:
        try:
            client = library.Client(
                address,
                timeout=CONNECT_SECONDS,
                asynchronous=False,
                set_as_default=False,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"[unmasking] dask = {address!r}: no scheduler answers there"
                f" ({type(error).__name__}); start it, or leave the table out"
            ) from error
        # Not pure: the results of a piece are wanted once, and are not to be kept.
        yield stack.enter_context(client).get_executor(pure=False)
