"""What stands at the two ends of a test's websocket."""

from secagg.consortium import Consortium
from secagg.drivers.wire.tls import client_context, server_context

CONSORTIUM = Consortium.of(4, b"websocket")
SILO = min(CONSORTIUM.silos)


def own_tls():
    aggregator = CONSORTIUM.aggregator
    return (
        server_context(aggregator, CONSORTIUM.roster),
        client_context(CONSORTIUM.silos[SILO], CONSORTIUM.roster, aggregator.id),
    )


async def nobody(transport) -> None:
    await transport.close()
