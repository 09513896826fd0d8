"""What runs beside the demo's TWAP: an iceberg, and a trailing stop that the market fires.

Rule: nothing is staged. Both rest where the market comes to them by itself; whether it comes in
time is its choice, and one that it left is cancelled and says so. The engine keeps both, not the
exchange: that is what there is to see, also while a worker dies.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from starters import lookup
from starters.client import AlreadyTerminal
from starters.connections import Connections
from starters.demo_orders import SYMBOL, Desk, ended, within
from starters.demo_result import OrderOutcome
from starters.demo_show import amount, price
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Placement, Side
from workflows.messages import OrderSnapshot
from workflows.order_views import StopProgress

ICEBERG_VALUE, STOP_VALUE = Decimal(5_000), Decimal(1_000)
"""In quote currency."""
VISIBLE_RATIO = Decimal("0.2")
TRAILING_BPS = 5
"""The market falls so far from its best price within half a minute, nearly always."""
ARMED_WITHIN_S = 30.0
AFTER_THE_TWAP_S = 30.0
CANCELLED_WITHIN_S = 60.0
_HIGHEST = Decimal("1.005")
_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """An order that was placed, of which the end is to be told."""

    order: OrderSnapshot
    order_type: OrderType
    side: Side
    quantity: Decimal
    since: float


class Beside:
    """The two orders, from their placing to their end."""

    def __init__(self, desk: Desk, connections: Connections) -> None:
        self._desk = desk
        self._connections = connections

    @classmethod
    @asynccontextmanager
    async def begun(cls, desk: Desk, connections: Connections) -> AsyncIterator[Self]:
        """Place both; what they do is told while the block runs, and their end after it."""
        both = cls(desk, connections)
        orders = await both.iceberg(), await both.trailing_stop()
        following = [asyncio.create_task(both.followed(each)) for each in orders]
        try:
            yield both
            await asyncio.wait(following, timeout=AFTER_THE_TWAP_S)
            for order, task in zip(orders, following, strict=True):
                if not task.done():
                    await both.given_up(order)
            async with within(CANCELLED_WITHIN_S, "what ran beside the TWAP"):
                desk.result.orders += await asyncio.gather(*following)
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    async def iceberg(self) -> _Begun:
        """Rest at the best bid, wherever that is, and show a fifth."""
        desk, since = self._desk, time.monotonic()
        quote = await desk.market.quote()
        quantity = desk.rules.quantity_worth(ICEBERG_VALUE, quote.mid)
        highest = (quote.mid * _HIGHEST / desk.rules.tick).to_integral_value() * desk.rules.tick
        share = f"shows {VISIBLE_RATIO:%} at a time, at the best bid"
        desk.screen.heading("3  iceberg", f"buy {amount(quantity)} {SYMBOL}, {share}")
        placed = await desk.place(
            "demo-iceberg",
            OrderType.ICEBERG,
            quantity,
            price=highest,
            iceberg_visible_ratio=VISIBLE_RATIO,
            peg_offset=Decimal(0),
            reprice_interval_s=Decimal(1),
            placement=Placement.ENGINE,
        )
        desk.screen.line("works on beside the others; its tips are told as they fill", "dim")
        return _Begun(
            order=placed,
            order_type=OrderType.ICEBERG,
            side=Side.BUY,
            quantity=quantity,
            since=since,
        )

    async def trailing_stop(self) -> _Begun:
        """Sell when the price has fallen a little from its best one since then."""
        desk, since = self._desk, time.monotonic()
        quantity = desk.rules.quantity_worth(STOP_VALUE, (await desk.market.quote()).mid)
        fall = f"when the bid has fallen {_fall()} from its highest"
        desk.screen.heading("4  trailing stop", f"sell {amount(quantity)} {SYMBOL} {fall}")
        placed = await desk.place(
            "demo-trailing-stop",
            OrderType.TRAILING_STOP,
            quantity,
            side=Side.SELL,
            trailing_delta_bps=TRAILING_BPS,
            placement=Placement.ENGINE,
        )
        async with within(ARMED_WITHIN_S, "arming the trailing stop"):
            await self._armed(placed)
        return _Begun(
            order=placed,
            order_type=OrderType.TRAILING_STOP,
            side=Side.SELL,
            quantity=quantity,
            since=since,
        )

    async def _armed(self, placed: OrderSnapshot) -> None:
        async for now in lookup.watch_order(self._connections, placed.order_id):
            stop = now.stop
            if stop is None or (stop.extreme is None and not now.status.is_terminal):
                continue
            self._desk.screen.line(
                f"armed: the highest bid is {price(stop.extreme)}, it fires at "
                f"{price(stop.trigger_price)} and follows upwards"
            )
            return

    async def followed(self, begun: _Begun) -> OrderOutcome:
        """Tell what happens to the order, up to its end."""
        now = before = begun.order
        async for now in lookup.watch_order(self._connections, begun.order.order_id):
            for line in news(before, now):
                self._desk.screen.line(f"{named(begun.order_type)}: {line}", "cyan")
            before = now
        outcome = self._desk.outcome(
            now, begun.order_type, begun.quantity, begun.since, side=begun.side
        )
        style = "green" if now.status is OrderStatus.FILLED else "yellow"
        self._desk.screen.line(f"{named(begun.order_type)}: {ended(now)}", style)
        return outcome

    async def given_up(self, begun: _Begun) -> None:
        """Cancel what the market did not come for."""
        why = "the market did not come"
        self._desk.screen.line(f"{named(begun.order_type)}: {why}, cancelling", "yellow")
        try:
            await self._desk.client.cancel(begun.order.order_id, why)
        except AlreadyTerminal:
            return


def news(before: OrderSnapshot, now: OrderSnapshot) -> list[str]:
    """What a human wants to hear of the step from one state of an order to the next."""
    return [*_tips(before, now), *_fired(before.stop, now.stop)]


def _tips(before: OrderSnapshot, now: OrderSnapshot) -> list[str]:
    if now.iceberg is None:
        return []
    known = before.iceberg.tips_filled if before.iceberg else 0
    if now.iceberg.tips_filled <= known:
        return []
    hidden = f"{amount(now.iceberg.hidden_quantity)} hidden"
    return [
        f"tip {now.iceberg.tips_filled} filled, {amount(now.filled_quantity)} of "
        f"{amount(now.quantity)} in all, {hidden}"
    ]


def _fired(before: StopProgress | None, now: StopProgress | None) -> list[str]:
    if now is None or now.fired_price is None:
        return []
    if before is not None and before.fired_price is not None:
        return []
    flags = f" ({', '.join(now.flags)})" if now.flags else ""
    return [
        f"fired at {price(now.fired_price)}, as the highest bid was {price(now.extreme)}: "
        f"the trigger had followed to {price(now.trigger_price)}{flags}"
    ]


def named(order_type: OrderType) -> str:
    """The type in words."""
    return order_type.replace("_", " ")


def _fall() -> str:
    return f"{TRAILING_BPS / _BPS:.2%}"
