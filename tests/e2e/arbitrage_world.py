"""The engine between two real paper exchanges whose books stand still and are shaped by the test.

Rule: nobody trades but the engine and the account `hedge`, which a test moves through the control
ports. A *bait* is an order of `hedge` between the touches, where it is alone: the book that an
arbitrage decides on. A leg that was held on its way arrives after its bait is gone, and rests.

Judged by the exchanges' own logs: one order per intent, and the told profit is their cash flow and
the marked residual, to the last digit.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from activities.venues.simulator.faults.client import ControlClient, ControlError
from activities.venues.simulator.judge import JudgedOrder, JudgedTrade, VenueLog
from tests.e2e.world import HEDGE, OKX, VENUE, World, open_world, until
from workers.checker import check_settled
from workflows import names
from workflows.domain.exact import exact
from workflows.domain.orders import client_order_id
from workflows.execution_messages import ArbitrageSnapshot

BUY_VENUE, SELL_VENUE = VENUE, OKX
ENDS_WITHIN_S = 40.0
TASK_TIMEOUT = timedelta(seconds=5)
ZERO, ONE = Decimal(0), Decimal(1)
# Two trades ten years apart: the market is quoted once and then never moves nor refills.
_FROZEN_TAPE = """exchange,symbol,timestamp,local_timestamp,id,side,price,amount
binance,BTCUSDT,1262304000000000,1262304000000000,1,buy,50000,0.000001
binance,BTCUSDT,1577836800000000,1577836800000000,2,buy,50000,0.000001
binance,ETHUSDT,1262304000000000,1262304000000000,1,buy,2500,0.000001
binance,ETHUSDT,1577836800000000,1577836800000000,2,buy,2500,0.000001
"""
FIGURES = {"VALIDITY_WINDOW_S": "3", "HTTP_DEADLINE_S": "3.2", "SUBMIT_TIMEOUT_S": "3.7"}
"""Long enough to move a book while an order is held on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One symbol, with which one arbitrage at a time is worked. Prices in quote, amounts in base.

    `low` and `high` are the touches that every venue is shaped to; `inside` is between them.
    """

    symbol: str
    low: Decimal
    high: Decimal
    inside: Decimal
    amount: Decimal


LANES = (
    Lane(
        symbol="BTC/USDT",
        low=Decimal(49_990),
        high=Decimal(50_010),
        inside=Decimal(50_000),
        amount=Decimal("0.01"),
    ),
    Lane(
        symbol="ETH/USDT",
        low=Decimal("2499.5"),
        high=Decimal("2500.5"),
        inside=Decimal(2_500),
        amount=Decimal("0.2"),
    ),
)
BTC, ETH = LANES


@dataclass
class Pair:
    """Both exchanges, and the engine between them."""

    world: World
    quotes: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """The touches: orders of `hedge` by venue, symbol and side."""
    made: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def control(self, venue: str) -> ControlClient:
        return self.world.controls[venue]

    def log(self, venue: str) -> VenueLog:
        return self.world.log(venue)

    async def shape(self, lane: Lane) -> None:
        """Take away what is quoted between the touches of the lane, and quote there instead."""
        much = Decimal(50) * (50_000 // lane.inside)
        for venue in (BUY_VENUE, SELL_VENUE):
            for side, other, edge in (("buy", "sell", lane.high), ("sell", "buy", lane.low)):
                taking = {"side": side, "price": edge, "quantity": much, "tif": "IOC"}
                await self.act(venue, "place", lane, **taking)
                self.quotes[venue, lane.symbol, other] = await self.quote(venue, lane, other, edge)

    async def shape_again(self) -> None:
        """As `shape` for all lanes: an exchange that was started again is quoted anew."""
        for (venue, _, _), order_id in self.quotes.items():
            await self.take_back(venue, order_id)
        self.quotes.clear()
        for lane in LANES:
            await self.shape(lane)

    async def quote(self, venue: str, lane: Lane, side: str, price: Decimal) -> int:
        """A large order of `hedge` at a touch; its id at the exchange."""
        much = Decimal(50) * (50_000 // lane.inside)
        told = await self.act(venue, "place", lane, side=side, price=price, quantity=much)
        return int(told["order_id"])

    @asynccontextmanager
    async def gap(self, lane: Lane, bid: Decimal) -> AsyncIterator[None]:
        """The sell venue bids far more than the buy venue asks, for as long as this lasts."""
        # what the market maker still asks below the bid is taken, and no ask of ours is in the way
        key = (SELL_VENUE, lane.symbol, "sell")
        await self.take_back(SELL_VENUE, self.quotes[key])
        everything = Decimal(100) * (50_000 // lane.inside)
        taking = {"side": "buy", "price": bid, "quantity": everything, "tif": "IOC"}
        await self.act(SELL_VENUE, "place", lane, **taking)
        bait = await self.bait(SELL_VENUE, lane, "buy", lane.amount * 5, price=bid)
        above = bid + (lane.high - lane.low)
        self.quotes[key] = await self.quote(SELL_VENUE, lane, "sell", above)
        try:
            yield
        finally:
            with suppress(ControlError):
                await self.take_back(SELL_VENUE, bait)
            await self.take_back(SELL_VENUE, self.quotes[key])
            self.quotes[key] = await self.quote(SELL_VENUE, lane, "sell", lane.high)

    async def act(self, venue: str, action: str, lane: Lane, **options: Any) -> dict[str, Any]:
        """An action of `hedge`, or of the market."""
        options = {"account": HEDGE} | options if action == "place" else options
        return await self.control(venue).act(action, symbol=lane.symbol, **options)

    async def bait(
        self,
        venue: str,
        lane: Lane,
        side: str,
        quantity: Decimal,
        *,
        price: Decimal | None = None,
    ) -> int:
        """An order of `hedge` inside the touches; its id at the exchange."""
        where = lane.inside if price is None else price
        told = await self.act(venue, "place", lane, side=side, price=where, quantity=quantity)
        return int(told["order_id"])

    async def take_back(self, venue: str, order_id: int) -> None:
        """A bait is taken off the book."""
        await self.control(venue).act("cancel", order_id=order_id)

    def arbitrage(self, lane: Lane = BTC, **plan: Any) -> "Aimed":
        """A plan between the two exchanges that nobody has started yet."""
        return Aimed(self, lane, f"arb-{os.getpid()}-{next(self.made)}", plan)

    @asynccontextmanager
    async def baits(
        self, lane: Lane, buy: Decimal = ONE, sell: Decimal = ONE
    ) -> AsyncIterator[dict[str, int]]:
        """Baits for both legs, as multiples of the lane's amount; what is left is taken back."""
        made = {
            BUY_VENUE: await self.bait(BUY_VENUE, lane, "sell", lane.amount * buy),
            SELL_VENUE: await self.bait(SELL_VENUE, lane, "buy", lane.amount * sell),
        }
        try:
            yield made
        finally:
            for venue, order_id in made.items():
                with suppress(ControlError):
                    await self.take_back(venue, order_id)

    async def clear(self) -> None:
        """No faults, and every exchange does as usual."""
        await asyncio.gather(*(control.clear() for control in self.world.controls.values()))


@dataclass
class Aimed:
    """One arbitrage whose legs' ids are known before it starts."""

    pair: Pair
    lane: Lane
    id: str
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def plan(self) -> dict[str, Any]:
        """Both legs at the price inside the touches: a loss of both fees, which is allowed here."""
        lane = self.lane
        return {
            "symbol": lane.symbol,
            "buy_exchange": BUY_VENUE,
            "sell_exchange": SELL_VENUE,
            "buy_price": str(lane.inside),
            "sell_price": str(lane.inside),
            "amount": str(lane.amount),
            "limit_tolerance": "0",
            "min_profit": "-100",
            "min_profit_worst": "-1000",
        } | self.changes

    @property
    def workflow(self) -> WorkflowHandle[Any, ArbitrageSnapshot]:
        return self.pair.world.temporal.get_workflow_handle(self.id, result_type=ArbitrageSnapshot)

    def child(self, leg: str) -> str:
        """The client order id of this leg's only child."""
        return client_order_id(names.leg_order_id(self.id, leg), 0)

    async def start(self) -> None:
        """Start it; its legs are on their way soon."""
        await self.pair.world.temporal.start_workflow(
            "Arbitrage",
            self.plan,
            id=self.id,
            task_queue=names.ORDERS_QUEUE,
            task_timeout=TASK_TIMEOUT,
        )

    async def progress(self) -> ArbitrageSnapshot:
        return await self.workflow.query(names.PROGRESS, result_type=ArbitrageSnapshot)

    async def aim(self, venue: str, leg: str, fault: str, **options: Any) -> int:
        """A fault at this leg's child; the rule's id."""
        control = self.pair.control(venue)
        return await control.add(fault, client_order_id=self.child(leg), **options)

    def at(self, venue: str, leg: str) -> list[JudgedOrder]:
        """What the exchange's log has under this leg's id."""
        return self.pair.log(venue).orders_named(self.child(leg))

    def is_open(self, venue: str, leg: str) -> bool:
        return any(order.is_open for order in self.at(venue, leg))

    def trades(self) -> list[JudgedTrade]:
        """All that the legs and compensations of this arbitrage traded, by the exchanges' logs."""
        ids = {self.child(leg): leg for leg in self._legs}
        return [
            trade
            for venue in (BUY_VENUE, SELL_VENUE)
            for trade in self.pair.log(venue).trades
            if trade.client_order_id in ids
        ]

    _legs: tuple[str, ...] = ()

    async def end(self, within_s: float = ENDS_WITHIN_S) -> ArbitrageSnapshot:
        """Its end in time, which must be true at both exchanges."""
        async with asyncio.timeout(within_s):
            while True:
                with suppress(RPCError):
                    told: ArbitrageSnapshot = await self.workflow.result()
                    break
                await asyncio.sleep(0.1)
        self.judge(told)
        return told

    def judge(self, told: ArbitrageSnapshot) -> None:
        """One order per intent, each as it is told; the profit is the cash that flowed."""
        self._legs = tuple(order.leg for order in told.orders)
        for order in told.orders:
            made = self.at(order.exchange, order.leg)
            assert len(made) <= 1, f"{order.leg} is {len(made)} orders"
            executed = made[0].executed if made else ZERO
            assert order.filled_amount == executed, f"{order.leg}: {order.filled_amount}"
            assert not any(each.is_open for each in made), f"{order.leg} is open"
        trades = self.trades()
        if not trades:
            assert told.actual_profit is None
            return
        base, quote = self.lane.symbol.split("/")
        with exact():
            cash = sum((_cash(trade, quote) for trade in trades), ZERO)
            left = sum((_left(trade, base) for trade in trades), ZERO)
            worth = cash + left * (told.residual_mark or ZERO)
        assert told.residual_quantity == left, f"told {told.residual_quantity}, left {left}"
        assert told.actual_profit == worth, f"told {told.actual_profit}, flowed {worth}"


def _cash(trade: JudgedTrade, quote: str) -> Decimal:
    sign = 1 if trade.side.upper() == "SELL" else -1
    fee = trade.fee if trade.fee_asset == quote else ZERO
    return sign * trade.price * trade.quantity - fee


def _left(trade: JudgedTrade, base: str) -> Decimal:
    sign = 1 if trade.side.upper() == "BUY" else -1
    fee = trade.fee if trade.fee_asset == base else ZERO
    return sign * trade.quantity - fee


@asynccontextmanager
async def open_pair(folder: Path) -> AsyncIterator[Pair]:
    """Start the engine with both exchanges, their books still and shaped."""
    tape = folder / "frozen.csv"
    tape.write_text(_FROZEN_TAPE)
    changes = FIGURES | {"REPLAY_TRADES": str(tape)}
    async with open_world(folder, venues=(BUY_VENUE, SELL_VENUE), changes=changes) as world:
        pair = Pair(world)
        for lane in LANES:
            await pair.shape(lane)
        yield pair


async def assert_books_agree(pair: Pair) -> None:
    """No invariant is violated at either exchange."""
    report = await check_settled(pair.world.stack.settings)
    assert report.ok, "\n".join(map(str, report.violations))


async def until_rests(aimed: Aimed, venue: str, leg: str) -> None:
    """Wait until the exchange's log has the leg's order open."""
    await until(lambda: aimed.is_open(venue, leg))
