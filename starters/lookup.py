"""Where an order is found: the ledger remembers all, a running order's workflow knows the newest.

The ledger is told of acceptance, first submission, pauses and the end. What lies between, such as
waiting for a price, is the workflow's to tell: so whatever runs is asked, alone or on a page.

`accounts` are those that the caller sees (None: all): an order of another one does not exist for
them.

One trap: when another body is started under the id of an order that has ended, Temporal's newest
run under that id is the refusal. The order itself is then in the ledger.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from starters.client import DeltaClient
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
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Placement
from workflows.domain.triggers import trigger_price_of
from workflows.messages import OrderSnapshot
from workflows.steering_messages import ActionKind, AmendRequest, ResolveRequest, SteerRequest

Accounts = frozenset[str] | None
ARMED = "armed"
LISTED_WITHIN_S = 2.0
ASKED_AT_A_TIME = 16
"""Running orders of one page that are asked at once, so that a page cannot flood the workers."""


async def find_order(
    connections: Connections, order_id: str, *, accounts: Accounts = None
) -> OrderSnapshot:
    """The order: its end from the ledger, until then from its workflow, which knows the newest.

    The ledger also tells of a running order whose workflow cannot be asked, and of a leg, whose
    workflow is its execution's. Raises OrderNotFound, Unavailable.
    """
    return _visible(await _find(connections, order_id), accounts)


async def _find(connections: Connections, order_id: str) -> OrderSnapshot:
    async with connections.ledger() as ledger:
        stored = await ledger.order(order_id)
    is_told = stored is not None and (
        stored.status.is_terminal or names.owner_of(order_id) != order_id
    )
    if stored is not None and is_told:
        return stored
    try:
        told = await (await connections.orders()).progress(order_id)
    except (Unavailable, OrderNotFound):
        if stored is None:
            raise
        return stored
    except OrderFailed as error:
        if stored is None:
            raise OrderNotFound(order_id) from error
        return stored
    # a refusal of another body hides the order that has this id
    is_refusal = told.code is DenialCode.IDEMPOTENCY_CONFLICT
    return stored if is_refusal and stored is not None else await _watched(connections, told)


async def find_progress(
    connections: Connections, order_id: str, *, accounts: Accounts = None
) -> OrderSnapshot:
    """The order from its workflow, which knows the newest; the ledger where that has gone.

    Raises OrderNotFound, Unavailable.
    """
    try:
        snapshot = await (await connections.orders()).progress(order_id)
    except (Unavailable, OrderNotFound, OrderFailed):
        return _visible(await find_stored(connections, order_id), accounts)
    itself = _visible(await _order_itself(connections, snapshot), accounts)
    return await _watched(connections, itself)


async def watch_order(connections: Connections, order_id: str) -> AsyncIterator[OrderSnapshot]:
    """The order now and after each change, up to its end; errors as of `DeltaClient.watch`."""

    async def enrich(snapshot: OrderSnapshot) -> OrderSnapshot:
        return await _watched(connections, snapshot)

    async for each in (await connections.orders()).watch(order_id, enrich=enrich):
        yield each


async def _watched(connections: Connections, snapshot: OrderSnapshot) -> OrderSnapshot:
    """With what the follower of the prices stored of an armed trigger: its workflow only hears
    of the end. As it is where the ledger is away."""
    stop = snapshot.stop
    if stop is None or stop.phase != ARMED or stop.placement is Placement.NATIVE:
        return snapshot
    try:
        async with connections.ledger() as ledger:
            watch = await ledger.armed_watch(snapshot.order_id)
    except Unavailable:
        return snapshot
    if watch is None:
        return snapshot
    armed_at = datetime.fromtimestamp(watch.armed_at_ms / 1000, UTC)
    news = {
        "armed_at": armed_at.isoformat(),
        "extreme": watch.state.extreme,
        "trigger_price": trigger_price_of(watch.spec, watch.state),
        "is_blind": watch.is_blind,
        "is_protected": stop.protected_quantity > 0 and not watch.is_blind,
    }
    return snapshot.model_copy(update={"stop": stop.model_copy(update=news)})


async def list_orders(
    connections: Connections,
    *,
    strategy_id: str | None = None,
    symbol: str | None = None,
    status: OrderStatus | None = None,
    exchange: str | None = None,
    accounts: Accounts = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[OrderSnapshot], str | None]:
    """A page of orders, newest first, without children; and the cursor of the next page.

    With the `status` of a running order a page may hold fewer than `limit` although more follow:
    which of those that run are in that state is only known once they were asked.
    Raises InvalidCursorError, Unavailable.
    """
    is_running = status is not None and not status.is_terminal
    async with connections.ledger() as ledger:
        found, following = await ledger.orders(
            strategy_id=strategy_id,
            symbol=symbol,
            status=None if is_running else status,
            exchange=exchange,
            accounts=accounts,
            is_open=is_running,
            limit=limit,
            cursor=cursor,
        )
    told = await _told_now(connections, found)
    stored = [each.model_copy(update={"children": ()}) for each in found]
    shown = [told.get(each.order_id, each) for each in stored]
    return [each for each in shown if status in (None, each.status)], following


async def _told_now(
    connections: Connections, found: Sequence[OrderSnapshot]
) -> dict[str, OrderSnapshot]:
    """What the running ones tell within LISTED_WITHIN_S, by their ids."""
    running = [
        each.order_id
        for each in found
        if not each.status.is_terminal and names.owner_of(each.order_id) == each.order_id
    ]
    told: dict[str, OrderSnapshot] = {}
    if not running:
        return told
    gate = asyncio.Semaphore(ASKED_AT_A_TIME)

    async def ask(client: DeltaClient, order_id: str) -> None:
        async with gate:
            with suppress(OrderNotFound, OrderFailed, Unavailable):
                now = await client.progress(order_id)
                if now.code is not DenialCode.IDEMPOTENCY_CONFLICT:
                    told[order_id] = now.model_copy(update={"children": ()})

    with suppress(TimeoutError, Unavailable):
        async with asyncio.timeout(LISTED_WITHIN_S):
            client = await connections.orders()
            await asyncio.gather(*(ask(client, order_id) for order_id in running))
    return told


async def cancel_order(
    connections: Connections, order_id: str, reason: str, *, accounts: Accounts = None
) -> OrderSnapshot:
    """Cancel the order; its final state, or `cancelling`.

    An order that Temporal has forgotten has ended. Raises AlreadyTerminal, OrderNotFound,
    OrderFailed, PartOfExecution, Unavailable.
    """
    await _refuse_a_leg(connections, order_id, accounts)
    try:
        return await (await connections.orders()).cancel(order_id, reason)
    except OrderNotFound as error:
        raise AlreadyTerminal(await find_stored(connections, order_id)) from error
    except AlreadyTerminal as error:
        raise AlreadyTerminal(await _order_itself(connections, error.snapshot)) from error


async def steer_order(
    connections: Connections,
    kind: ActionKind,
    order_id: str,
    request: SteerRequest | AmendRequest,
    *,
    accounts: Accounts = None,
) -> OrderSnapshot:
    """Pause, resume or amend the order; the order once that is in effect.

    Raises Refused, EffectPending, OutcomeUnknown, and what `cancel_order` raises.
    """
    await _refuse_a_leg(connections, order_id, accounts)
    try:
        return await (await connections.orders()).steer(kind, order_id, request)
    except OrderNotFound as error:
        raise AlreadyTerminal(await find_stored(connections, order_id)) from error
    except AlreadyTerminal as error:
        raise AlreadyTerminal(await _order_itself(connections, error.snapshot)) from error


async def resolve_child(
    connections: Connections,
    order_id: str,
    request: ResolveRequest,
    *,
    accounts: Accounts = None,
) -> OrderSnapshot:
    """An operator's verdict on an unknown child; the order as it is now.

    The child follows the verdict within half a minute. Raises Refused, AlreadyTerminal,
    OrderNotFound, OutcomeUnknown, Unavailable.
    """
    await _refuse_a_stranger(connections, order_id, accounts)
    try:
        await (await connections.orders()).resolve(order_id, request)
    except OrderNotFound as error:
        stored = await find_stored(connections, order_id)
        if stored.status.is_terminal:
            raise AlreadyTerminal(stored) from error
        raise Unavailable(f"no workflow is at work on order {order_id} now") from error
    return await find_order(connections, order_id)


def _visible(snapshot: OrderSnapshot, accounts: Accounts) -> OrderSnapshot:
    """The order; raises OrderNotFound for one of an account that the caller does not see."""
    if accounts is not None and snapshot.account not in accounts:
        raise OrderNotFound(snapshot.order_id)
    return snapshot


async def _refuse_a_stranger(connections: Connections, order_id: str, accounts: Accounts) -> None:
    """Raises OrderNotFound before anything is done to an order that the caller does not see."""
    if accounts is not None:
        await find_order(connections, order_id, accounts=accounts)


async def _refuse_a_leg(connections: Connections, order_id: str, accounts: Accounts) -> None:
    """Raises PartOfExecution for a leg, OrderNotFound for what looks like one and is none."""
    await _refuse_a_stranger(connections, order_id, accounts)
    execution_id = names.owner_of(order_id)
    if execution_id != order_id:
        await find_stored(connections, order_id)
        raise PartOfExecution(order_id, execution_id)


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
