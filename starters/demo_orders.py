"""The demo's market order, limit order and TWAP, and the crash in the middle of the TWAP.

Rule: sizes and prices come from the market as it is. Every wait has a bound, and what does not
come true within it is DemoFailed.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

from starters.client import AlreadyTerminal, DeltaClient
from starters.demo_crash import CrashInProgress, Killer
from starters.demo_market import Market, Rules
from starters.demo_result import DemoFailed, DemoResult, OrderOutcome
from starters.demo_settings import DemoOptions
from starters.demo_show import Follow, Screen, amount, filled, price
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Side
from workflows.messages import OrderRequest, OrderSnapshot

VENUE, SYMBOL, STRATEGY = "binance", "BTC/USDT", "demo"
MARKET_VALUE, LIMIT_VALUE, SLICE_VALUE = Decimal(5_000), Decimal(1_500), Decimal(4_000)
"""In quote currency; a slice is about what is quoted at the best price."""
KILL_AT_SLICE = 4
MARKET_WITHIN_S = 60.0
REST_WITHIN_S = 20.0
TWAP_SLACK_S = 90.0
RESTING_TRIES = 20
_POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the demo trades with."""

    client: DeltaClient
    market: Market
    rules: Rules
    killer: Killer
    screen: Screen
    result: DemoResult
    options: DemoOptions

    async def market_order(self) -> None:
        """Buy at once."""
        quote = await self.market.quote()
        quantity = self.rules.quantity_worth(MARKET_VALUE, quote.mid)
        self.screen.heading("1  market", f"buy {amount(quantity)} {SYMBOL} on {VENUE}")
        since = time.monotonic()
        async with within(MARKET_WITHIN_S, "the market order"):
            placed = await self.place("demo-market", OrderType.MARKET, quantity)
            done = await self.client.result(placed.order_id)
        if done.filled_quantity:
            self.result.first_fill_s = self.killer.since_start_s()
        outcome = self._note(done, OrderType.MARKET, quantity, since)
        self.screen.line(f"{ended(done)} within {outcome.took_s:.2f} s", "green")

    async def limit_order(self) -> None:
        """Rest at the front of the book until the market comes; cancelled if it does not."""
        since = time.monotonic()
        placed = await self._rest()
        try:
            async with asyncio.timeout(REST_WITHIN_S):
                done = await self._followed(placed)
        except TimeoutError:
            done = await self._cancelled(placed)
        outcome = self._note(done, OrderType.LIMIT, done.quantity or Decimal(0), since)
        style = "green" if done.status is OrderStatus.FILLED else "yellow"
        self.screen.line(f"{ended(done)} after {outcome.took_s:.1f} s", style)

    async def twap(self) -> None:
        """Buy in slices over time; its worker is killed on the way."""
        slices, interval_s = self.options.slices, self.options.interval_s
        quote = await self.market.quote()
        quantity = self.rules.quantity_worth(SLICE_VALUE * slices, quote.mid)
        what = (
            f"buy {amount(quantity)} {SYMBOL} in {slices} slices, one every {amount(interval_s)} s"
        )
        self.screen.heading("5  twap", what)
        since = time.monotonic()
        placed = await self.place(
            "demo-twap",
            OrderType.TWAP,
            quantity,
            twap_slices=slices,
            twap_interval=interval_s,
        )
        url = await self.killer.history_url(placed.order_id)
        self.result.urls = {"history": url, **self.result.urls}
        self.screen.urls(self.result.urls)
        async with within(float(interval_s) * slices + TWAP_SLACK_S, "the TWAP"):
            with self.screen.following(quantity) as follow:
                done = await self._over_a_crash(placed, follow)
        self._note(done, OrderType.TWAP, quantity, since)
        self.screen.line(ended(done), "green" if done.status is OrderStatus.FILLED else "red")

    # --- steps ----------------------------------------------------------------------------------

    async def _over_a_crash(self, placed: OrderSnapshot, follow: Follow) -> OrderSnapshot:
        """Follow the order to its end; kill its worker at the slice, and say who went on."""
        killed: CrashInProgress | None = None
        now = placed
        async for now in self.client.watch(placed.order_id, poll_interval_s=_POLL_S):
            follow.show(now)
            sent, is_over = now.twap.slices_sent if now.twap else 0, now.status.is_terminal
            if killed is None and sent >= KILL_AT_SLICE and not is_over and _is_answered(now):
                killed = await self.killer.kill_worker_of(now)
                self.screen.line(
                    f"slice {killed.slice_number}: killed {killed.worker} (pid {killed.pid}) with "
                    "SIGKILL, the worker that works this order",
                    "bold yellow",
                )
            elif killed and not self.result.crash and (is_over or sent > killed.slice_number):
                went_on = sent > killed.slice_number
                self.result.crash = await self.killer.what_followed(killed, went_on=went_on)
                follow.crashed(self.result.crash)
        return now

    async def _rest(self) -> OrderSnapshot:
        """A buy that is open at the exchange: one tick better than the best bid, post-only."""
        self.screen.heading("2  limit", f"buy {SYMBOL} one tick above the best bid, post-only")
        for number in range(1, RESTING_TRIES + 1):
            quote = await self.market.quote()
            quantity = self.rules.quantity_worth(LIMIT_VALUE, quote.mid)
            at = max(quote.bid, min(quote.bid + self.rules.tick, quote.ask - self.rules.tick))
            placed = await self.place(
                f"demo-limit-{number}", OrderType.LIMIT, quantity, price=at, post_only=True
            )
            what = f"{amount(quantity)} at {price(at)}"
            if await self._is_open(placed.order_id):
                self.screen.line(f"{what} rests at the front of the book, waiting for a seller")
                return placed
            self.screen.line(f"{what} was refused as the price moved onto it; once more", "dim")
        raise DemoFailed(f"no limit order came to rest in {RESTING_TRIES} tries")

    async def _is_open(self, order_id: str) -> bool:
        """Whether the exchange took the order; a fill proves it too."""
        async with within(MARKET_WITHIN_S, "the limit order"):
            async for now in self.client.watch(order_id, poll_interval_s=_POLL_S):
                if now.filled_quantity or any(each.venue_order_id for each in now.children):
                    return not now.status.is_terminal or bool(now.filled_quantity)
        return False

    async def _followed(self, placed: OrderSnapshot) -> OrderSnapshot:
        """The order's end; each fill on the way is shown."""
        now, shown = placed, Decimal(0)
        async for now in self.client.watch(placed.order_id, poll_interval_s=_POLL_S):
            if now.filled_quantity > shown and not now.status.is_terminal:
                self.screen.line(f"partly filled: {filled(now)}")
            shown = now.filled_quantity
        return now

    async def _cancelled(self, placed: OrderSnapshot) -> OrderSnapshot:
        self.screen.line(
            f"the market did not come within {REST_WITHIN_S:g} s: cancelling", "yellow"
        )
        try:
            await self.client.cancel(placed.order_id, "the market did not come")
        except AlreadyTerminal as ended:
            return ended.snapshot
        async with within(MARKET_WITHIN_S, "the cancelled limit order"):
            return await self.client.result(placed.order_id)

    async def place(
        self, order_id: str, order_type: OrderType, quantity: Decimal, **more: object
    ) -> OrderSnapshot:
        """Submit a buy, unless `more` says otherwise. Raises DemoFailed if it is denied."""
        fields = {
            "order_id": order_id,
            "strategy_id": STRATEGY,
            "exchange": VENUE,
            "symbol": SYMBOL,
            "side": Side.BUY,
            "order_type": order_type,
            "quantity": quantity,
        }
        placed = await self.client.submit(OrderRequest.model_validate(fields | more))
        if placed.status is OrderStatus.DENIED:
            raise DemoFailed(f"the {order_type} order was denied: {placed.code} {placed.reason}")
        return placed

    def outcome(
        self,
        done: OrderSnapshot,
        order_type: OrderType,
        quantity: Decimal,
        since: float,
        *,
        side: Side = Side.BUY,
    ) -> OrderOutcome:
        """An order that has just ended, and the market's average since it began."""
        until = time.monotonic()
        return OrderOutcome(
            order=done,
            order_type=order_type,
            side=side,
            quantity=quantity,
            market_average=self.market.average(since, until),
            took_s=until - since,
        )

    def _note(
        self, done: OrderSnapshot, order_type: OrderType, quantity: Decimal, since: float
    ) -> OrderOutcome:
        outcome = self.outcome(done, order_type, quantity, since)
        self.result.orders.append(outcome)
        return outcome


@asynccontextmanager
async def within(bound_s: float, what: str) -> AsyncIterator[None]:
    """DemoFailed when the block takes longer."""
    try:
        async with asyncio.timeout(bound_s):
            yield
    except TimeoutError:
        raise DemoFailed(f"{what} did not end within {bound_s:g} s") from None


def _is_answered(order: OrderSnapshot) -> bool:
    """Whether no request is under way: one that dies with its worker is waited for first.

    That is shown elsewhere; here it would take more slices than a short demo has.
    """
    return all(each.venue_order_id or each.status.is_final for each in order.children)


def ended(order: OrderSnapshot) -> str:
    """How an order came out, in words."""
    at = f" at {price(order.average_price)}" if order.average_price is not None else ""
    reason = f" ({order.reason})" if order.reason else ""
    return f"{order.status}: {filled(order)}{at}{reason}"
