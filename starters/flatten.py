"""Closing every position of a scope at the market: stop all, then let only exits leave, then stop.

Theory. HALTED comes first and takes what rests off the venues, so that nothing competes with the
exits and their funds are free; orders that were at work are suspended. Under REDUCING the exits
leave as orders of their own, which may only reduce. At the end, however it came, the scope is
HALTED again.

Rule: what is left is the ledger's word after the exits have ended, never what was hoped for.
"""

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

from activities.ledger.state_store import Holding
from starters.client import DeltaClient, Unavailable
from starters.connections import Connections
from starters.errors import DeltaError
from workers import emergency
from workers.emergency import SwitchReport
from workers.settings import Settings
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Side
from workflows.domain.scopes import Scope
from workflows.messages import OrderRequest, OrderSnapshot

if TYPE_CHECKING:
    from workers.closings import Closing

AT_ONCE = 10
AGAIN_AFTER_S = 0.5
_SOON = (DenialCode.RISK_REDUCE_ONLY, DenialCode.INSUFFICIENT_FUNDS, DenialCode.RECONCILING)
"""What passes once the orders that were taken off the venues are settled in the ledger."""
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """An order that was to close a position; quantities in base units. `status` is its order's,
    `not_sent` where none could be sent, or `unknown` where nobody could say."""

    strategy_id: str
    account: str
    exchange: str
    symbol: str
    side: Side
    quantity: Decimal
    order_id: str | None = None
    status: str = "not_sent"
    filled_quantity: Decimal = _ZERO
    average_price: Decimal | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattened:
    """`report` is of the halt at the end. `left`: positions that are not zero, signed."""

    report: SwitchReport
    exits: tuple[Exit, ...] = ()
    left: tuple[Holding, ...] = ()


async def flatten(
    connections: Connections,
    settings: Settings,
    scope: Scope,
    reason: str,
    by: str,
    *,
    within_s: Decimal,
) -> Flattened:
    """Halt, close what is held, halt. `within_s`: for each of the three.

    Raises LedgerAwayError.
    """
    # the venues' clients take a while to load, and only who flattens needs them
    from workers.closings import closings

    halted = await emergency.halt(settings, scope, reason, by, within_s=within_s)
    planned = await closings(settings, scope)
    try:
        client = await connections.orders()
        await client.check()
    except Unavailable as error:
        exits = tuple(_exit(each, reason=each.why or str(error)) for each in planned)
        left = tuple(await emergency.holdings(settings, scope))
        return Flattened(report=halted, exits=exits, left=left)
    until = time.monotonic() + float(within_s)
    try:
        await emergency.reduce(settings, scope, reason, by)
        gate = asyncio.Semaphore(AT_ONCE)
        exits = tuple(
            await asyncio.gather(*(_close(client, each, gate, until) for each in planned))
        )
    finally:
        halted = await emergency.halt(settings, scope, reason, by, within_s=within_s)
    left = tuple(await emergency.holdings(settings, scope))
    return Flattened(report=halted, exits=exits, left=left)


async def _close(
    client: DeltaClient, closing: "Closing", gate: asyncio.Semaphore, until: float
) -> Exit:
    if not closing.quantity:
        return _exit(closing, reason=closing.why)
    async with gate:
        while True:
            told = await _ordered(client, closing, _request(closing), until)
            is_denied = told.status == OrderStatus.DENIED and told.reason.startswith(_SOON)
            if not is_denied or time.monotonic() > until:
                return told
            await asyncio.sleep(AGAIN_AFTER_S)


async def _ordered(
    client: DeltaClient, closing: "Closing", request: OrderRequest, until: float
) -> Exit:
    """One order to its end; cancelled when the time is over."""
    order_id = request.order_id or ""
    try:
        snapshot = await client.submit(request)
        if not snapshot.status.is_terminal:
            try:
                left_s = max(until - time.monotonic(), 0)
                snapshot = await asyncio.wait_for(client.result(order_id), left_s)
            except TimeoutError:
                snapshot = await client.cancel(order_id, "flatten: out of time")
    except DeltaError as error:
        return _exit(closing, order_id=order_id, status="unknown", reason=str(error))
    return _told(closing, snapshot)


def _request(closing: "Closing") -> OrderRequest:
    holding = closing.holding
    return OrderRequest(
        order_id=f"flatten-{uuid4().hex}",
        strategy_id=holding.strategy_id,
        account=holding.account,
        exchange=holding.exchange,
        symbol=holding.symbol,
        side=closing.side,
        order_type=OrderType.MARKET,
        quantity=closing.quantity,
        reduce_only=True,
    )


def _told(closing: "Closing", snapshot: OrderSnapshot) -> Exit:
    code = f"{snapshot.code}: " if snapshot.code else ""
    return _exit(
        closing,
        order_id=snapshot.order_id,
        status=snapshot.status.value,
        filled_quantity=snapshot.filled_quantity,
        average_price=snapshot.average_price,
        reason=f"{code}{snapshot.reason}",
    )


def _exit(
    closing: "Closing",
    *,
    order_id: str | None = None,
    status: str = "not_sent",
    filled_quantity: Decimal = _ZERO,
    average_price: Decimal | None = None,
    reason: str = "",
) -> Exit:
    holding = closing.holding
    return Exit(
        strategy_id=holding.strategy_id,
        account=holding.account,
        exchange=holding.exchange,
        symbol=holding.symbol,
        side=closing.side,
        quantity=closing.quantity,
        order_id=order_id,
        status=status,
        filled_quantity=filled_quantity,
        average_price=average_price,
        reason=reason,
    )
