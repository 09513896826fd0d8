"""Comparing a venue with the ledger on request: the workflow `SyncPositions`, and its answer."""

from starters.connections import Connections
from workflows.domain.denials import Denied
from workflows.sync_messages import SyncReport


async def sync_positions(
    connections: Connections, exchange: str, *, requested_by: str
) -> SyncReport | Denied:
    """What differed, by account; denied for a venue that is not configured. Raises Unavailable.

    Of two who ask at the same time both get the answer of the first.
    """
    report = await (await connections.orders()).sync(exchange, requested_by=requested_by)
    if report.code is not None:
        return Denied(code=report.code, field=report.field, detail=report.reason)
    return report
