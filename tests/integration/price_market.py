"""A market that tests move by hand, its stream and REST answers, and owners that remember."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.ledger.watch_store import WatchStore
from activities.prices import PricesActivities
from activities.venues.gateway import VenueUnavailableError
from tests.integration.ledger_world import ACCOUNT, EXCHANGE, SYMBOL, World
from workflows import names
from workflows.domain.orders import Side
from workflows.domain.prices import Candle, PublicTrade
from workflows.domain.triggers import (
    Direction,
    Fired,
    Tick,
    TriggerSource,
    TriggerSpec,
    TriggerState,
)
from workflows.ports import ArmWatch, FiredWatch, FollowPrices, WatchView

WITHIN_S = 20.0
CANDLE_MS = 1_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a fact; fails when it does not come about."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


class Market:
    """One symbol. `move` trades at a price; everything that is connected hears of it."""

    venue, account = EXCHANGE, ACCOUNT

    def __init__(self, price: str = "100") -> None:
        self.price = Decimal(price)
        self.trades: list[PublicTrade] = []
        self.has_a_past = self.keeps_trades = True
        self.is_silent = self.is_away = self.refuses_streams = False
        self.late_ms = 0
        self.asked = 0
        self._streams: list[asyncio.Queue[Tick | None]] = []

    @property
    def listeners(self) -> int:
        return len(self._streams)

    def move(self, *prices: str) -> None:
        """One trade at each price, one after the other."""
        for price in prices:
            self.price = Decimal(price)
            self.trades.append(
                PublicTrade(
                    trade_id=str(len(self.trades)),
                    price=self.price,
                    quantity=Decimal(1),
                    at_ms=now_ms(),
                )
            )
            for stream in self._streams if not self.is_silent else []:
                stream.put_nowait(Tick(at_ms=now_ms() - self.late_ms, last=self.price))

    def cut(self) -> None:
        """Every stream is lost."""
        for stream in self._streams:
            stream.put_nowait(None)

    def _answer(self) -> None:
        self.asked += 1
        if self.is_away:
            raise VenueUnavailableError("no answer today")

    async def clock_offset_ms(self) -> int:
        return 0

    async def tick(self, _symbol: str) -> Tick:
        self._answer()
        return Tick(at_ms=now_ms(), bid=self.price - 1, ask=self.price + 1, last=self.price)

    async def public_trades(self, _symbol: str, since_ms: int) -> list[PublicTrade] | None:
        self._answer()
        if not self.has_a_past:
            raise VenueUnavailableError("that is too long ago")
        if not self.keeps_trades:
            return None
        return [trade for trade in self.trades if trade.at_ms >= since_ms]

    async def candles(self, _symbol: str, since_ms: int, until_ms: int) -> list[Candle]:
        self._answer()
        found = []
        for opened in range(since_ms - since_ms % CANDLE_MS, until_ms, CANDLE_MS):
            inside = [t.price for t in self.trades if opened <= t.at_ms < opened + CANDLE_MS]
            if inside:
                found.append(
                    Candle(
                        opened_ms=opened,
                        length_ms=CANDLE_MS,
                        open=inside[0],
                        high=max(inside),
                        low=min(inside),
                        close=inside[-1],
                        volume=Decimal(len(inside)),
                    )
                )
        return found

    @asynccontextmanager
    async def prices(self, _symbol: str) -> AsyncIterator[AsyncIterator[Tick]]:
        if self.is_away or self.refuses_streams:
            raise VenueUnavailableError("no stream today")
        told: asyncio.Queue[Tick | None] = asyncio.Queue()
        self._streams.append(told)

        async def ticks() -> AsyncIterator[Tick]:
            while (tick := await told.get()) is not None:
                yield tick
            raise VenueUnavailableError("the stream was cut")

        try:
            yield ticks()
        finally:
            self._streams.remove(told)


class Owners:
    """Temporal, as the follower uses it: remembers who was told what; refuses on request."""

    def __init__(self) -> None:
        self.told: list[tuple[str, FiredWatch]] = []
        self.refusal: RPCStatusCode | None = None

    def get_workflow_handle(self, order_id: str) -> Any:
        owners = self

        class Handle:
            async def signal(self, name: str, fired: FiredWatch) -> None:
                assert name == names.PRICE_TRIGGER
                if owners.refusal is not None:
                    raise RPCError("refused", owners.refusal, b"")
                owners.told.append((order_id, fired))

        return Handle()

    @property
    def fired(self) -> dict[str, Fired]:
        return {told.watch_id: told.fired for _, told in self.told}


@dataclass
class Desk:
    """Triggers of one symbol on a real ledger, a market, and followers."""

    ledger: World
    store: WatchStore
    market: Market = field(default_factory=Market)
    owners: Owners = field(default_factory=Owners)
    made: int = 0

    async def arm(self, side: str = "sell", price: str | None = "95", **changes: Any) -> str:
        """Arm a trigger of a new order, by the last trade; its id."""
        self.made += 1
        order_id = f"order-{self.made}"
        await self.ledger.open(order_id)
        values: dict[str, Any] = {
            "side": Side(side),
            "direction": Direction.DOWN if side == "sell" else Direction.UP,
            "source": TriggerSource.LAST,
            "price": None if price is None or "trailing_delta_bps" in changes else Decimal(price),
            "stale_after_ms": 5_000,
        }
        watch_id = names.watch_id(order_id, 1)
        await self.store.arm(
            ArmWatch(
                watch_id=watch_id,
                order_id=order_id,
                venue=EXCHANGE,
                account=ACCOUNT,
                symbol=SYMBOL,
                spec=TriggerSpec(**(values | changes)),
            )
        )
        return watch_id

    async def read(self, watch_id: str) -> WatchView:
        return await self.store.read(watch_id)

    async def state(self, watch_id: str) -> TriggerState:
        return (await self.store.read(watch_id)).state

    async def untold(self) -> list[str]:
        found = await self.store.untold_watches(EXCHANGE, SYMBOL)
        return [watch.watch_id for watch in found]

    @asynccontextmanager
    async def following(self) -> AsyncIterator["asyncio.Task[Any]"]:
        """A follower in the stream; it is cut off at the end, as if its process were killed."""
        gateways: Any = {(EXCHANGE, ACCOUNT): self.market}
        client: Any = self.owners
        prices = PricesActivities(gateways, self.store, client)
        request = FollowPrices(venue=EXCHANGE, account=ACCOUNT, symbol=SYMBOL)
        streams, asked = self.market.listeners, self.market.asked
        task = asyncio.create_task(ActivityEnvironment().run(prices.follow_prices, request))
        try:
            if not (self.market.is_away or self.market.refuses_streams):
                await until(lambda: self.market.listeners > streams or task.done())
            if await self.store.armed_watches(EXCHANGE, SYMBOL):  # then it asks for what it missed
                await until(lambda: self.market.asked > asked or task.done())
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
