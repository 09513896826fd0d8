"""Where an order is found: the ledger remembers all, Temporal knows what has just begun."""

from starters.client import OrderFailed, OrderNotFound, Unavailable
from starters.connections import Connections
from workflows.messages import OrderSnapshot


async def find_order(connections: Connections, order_id: str) -> OrderSnapshot:
    """The order from the ledger, else from its workflow, which may not be booked yet.

    Raises OrderNotFound, Unavailable.
    """
    async with connections.ledger() as ledger:
        stored = await ledger.order(order_id)
    if stored is not None:
        return stored
    try:
        return await (await connections.orders()).progress(order_id)
    except OrderFailed as error:
        raise OrderNotFound(order_id) from error


async def find_progress(connections: Connections, order_id: str) -> OrderSnapshot:
    """The order from its workflow, which knows the newest; the ledger where that has gone.

    Raises OrderNotFound, Unavailable.
    """
    try:
        return await (await connections.orders()).progress(order_id)
    except (Unavailable, OrderNotFound, OrderFailed):
        return await find_stored(connections, order_id)


async def find_stored(connections: Connections, order_id: str) -> OrderSnapshot:
    """The order from the ledger; raises OrderNotFound, Unavailable."""
    async with connections.ledger() as ledger:
        stored = await ledger.order(order_id)
    if stored is None:
        raise OrderNotFound(order_id)
    return stored
