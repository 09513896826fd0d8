"""Where an order is found: the ledger remembers all, Temporal knows what has just begun.

One trap: when another body is started under the id of an order that has ended, Temporal's newest
run under that id is the refusal. The order itself is then in the ledger.
"""

from starters.connections import Connections
from starters.errors import (
    AlreadyTerminal,
    OrderFailed,
    OrderNotFound,
    PartOfExecution,
    Unavailable,
)
from workflows import names
from workflows.domain.denials import DenialCode
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
        snapshot = await (await connections.orders()).progress(order_id)
    except (Unavailable, OrderNotFound, OrderFailed):
        return await find_stored(connections, order_id)
    return await _order_itself(connections, snapshot)


async def cancel_order(connections: Connections, order_id: str, reason: str) -> OrderSnapshot:
    """Cancel the order; its final state, or `cancelling`.

    An order that Temporal has forgotten has ended. Raises AlreadyTerminal, OrderNotFound,
    OrderFailed, PartOfExecution, Unavailable.
    """
    execution_id = names.owner_of(order_id)
    if execution_id != order_id:
        await find_stored(connections, order_id)
        raise PartOfExecution(order_id, execution_id)
    try:
        return await (await connections.orders()).cancel(order_id, reason)
    except OrderNotFound as error:
        raise AlreadyTerminal(await find_stored(connections, order_id)) from error
    except AlreadyTerminal as error:
        raise AlreadyTerminal(await _order_itself(connections, error.snapshot)) from error


async def find_stored(connections: Connections, order_id: str) -> OrderSnapshot:
    """The order from the ledger; raises OrderNotFound, Unavailable."""
    async with connections.ledger() as ledger:
        stored = await ledger.order(order_id)
    if stored is None:
        raise OrderNotFound(order_id)
    return stored


async def _order_itself(connections: Connections, snapshot: OrderSnapshot) -> OrderSnapshot:
    """The order that a refusal for its id hides; anything else as it is."""
    if snapshot.code is not DenialCode.IDEMPOTENCY_CONFLICT:
        return snapshot
    try:
        return await find_stored(connections, snapshot.order_id)
    except (OrderNotFound, Unavailable):
        return snapshot
