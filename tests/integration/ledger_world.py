"""What ledger tests share: a store on a fresh database, and orders and reports to feed it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.ledger.engine import open_engine
from activities.ledger.execution_store import ExecutionStore
from activities.ledger.roles import APP
from activities.ledger.steering_store import SteeringStore
from activities.ledger.store import LedgerStore
from activities.ledger.views import LedgerViews
from activities.ledger.watch_store import WatchStore
from workflows.domain.orders import ChildIntent, ChildType, Side, client_order_id
from workflows.domain.reports import ExecutionReport, Fill, VenueStatus
from workflows.domain.risk import Limits
from workflows.messages import OrderRequest

EXCHANGE, ACCOUNT, SYMBOL = "binance", "main", "BTC/USDT"
REFERENCE = Decimal(50_000)
SIGNED_AT_MS = 1_700_000_000_000
LIMITS = Limits(max_order_value=Decimal(100_000), max_position_value=Decimal(500_000))


@dataclass(frozen=True)
class World:
    url: str
    """The owner's."""
    engine: AsyncEngine
    store: LedgerStore
    views: LedgerViews
    executions: ExecutionStore
    watches: WatchStore
    steering: SteeringStore

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Straight from the database, past the code under test."""
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def value(self, query: str, *arguments: Any) -> Any:
        (row,) = await self.rows(query, *arguments)
        (only,) = row.values()
        return only

    async def open(self, order_id: str, **changes: Any) -> OrderRequest:
        """A parent that was registered and accepted."""
        request = an_order(**changes)
        await self.store.open_parent(order_id, "chain", request)
        assert await self.store.accept_parent(order_id, request, REFERENCE) is None
        return request

    async def reserved(self, order_id: str = "order-1", **changes: Any) -> ChildIntent:
        """A child of a new parent, reserved and ready to be claimed."""
        await self.open(order_id)
        intent = an_intent(order_id, **changes)
        assert (await self.reserve(intent))[1] is None
        return intent

    async def sent(self, order_id: str = "order-1", **changes: Any) -> ChildIntent:
        """A child whose attempt was claimed."""
        intent = await self.reserved(order_id, **changes)
        assert await self.store.claim(intent.client_order_id, 1, SIGNED_AT_MS) is None
        return intent

    async def reserve(
        self, intent: ChildIntent, attempt: int = 1, parent_quantity: Decimal = Decimal(10)
    ) -> Any:
        return await self.store.reserve(intent, attempt, REFERENCE, parent_quantity)

    async def book(self, intent: ChildIntent, report: ExecutionReport) -> Any:
        return await self.store.book_report(intent, report, "BTC", "USDT")

    async def ack(self, intent: ChildIntent, report: ExecutionReport, attempt: int = 1) -> Any:
        return await self.store.record_ack(intent, attempt, report, "BTC", "USDT")

    async def alarms(self) -> list[str]:
        return sorted(alarm.code for alarm in await self.views.alarms())

    async def hold(
        self, quantity: str, side: Side = Side.BUY, name: str = "opening", strategy: str = "s1"
    ) -> None:
        """A position of a strategy, from one order that filled."""
        size = Decimal(quantity)
        await self.open(name, side=side.value, strategy_id=strategy)
        intent = an_intent(name, side=side, quantity=size, strategy_id=strategy)
        assert (await self.reserve(intent))[1] is None
        assert await self.store.claim(intent.client_order_id, 1, SIGNED_AT_MS) is None
        fill = a_fill(f"trade of {name}", quantity, fee=Decimal(0))
        report = a_report(VenueStatus.FILLED, quantity, fill, venue_order_id=f"v-{name}")
        await self.ack(intent, report)

    async def position(self, strategy: str = "s1") -> Decimal:
        query = "SELECT coalesce(sum(quantity), 0) FROM positions WHERE strategy_id = $1"
        return Decimal(await self.value(query, strategy))

    async def reservation(self, intent: ChildIntent) -> tuple[str, Decimal]:
        (row,) = await self.rows(
            "SELECT state, quantity FROM reservations WHERE client_order_id = $1",
            intent.client_order_id,
        )
        return row["state"], row["quantity"]

    async def child_status(self, intent: ChildIntent) -> str:
        stored = await self.store.child_by_id(intent.client_order_id)
        assert stored is not None
        return stored.status.value


def as_engine(owner_url: str) -> str:
    """The same database, as the engine logs in: what it may not do fails the test."""
    return owner_url.replace("://delta:", f"://{APP}:", 1)


@asynccontextmanager
async def open_world(url: str, limits: Limits = LIMITS) -> AsyncIterator[World]:
    engine = open_engine(as_engine(url), pool_size=12)
    store, executions = LedgerStore(engine, limits), ExecutionStore(engine, limits)
    watches, steering = WatchStore(engine), SteeringStore(engine, limits)
    world = World(url, engine, store, LedgerViews(engine), executions, watches, steering)
    await world.store.set_readiness(EXCHANGE, ACCOUNT, True, Decimal(60), "test")
    try:
        yield world
    finally:
        await engine.dispose()


def an_order(**changes: Any) -> OrderRequest:
    fields: dict[str, Any] = {
        "strategy_id": "s1",
        "exchange": EXCHANGE,
        "symbol": SYMBOL,
        "side": "buy",
        "order_type": "twap",
        "quantity": Decimal(5),
    }
    return OrderRequest(**{**fields, **changes})


def an_intent(order_id: str = "order-1", index: int = 0, **changes: Any) -> ChildIntent:
    fields: dict[str, Any] = {
        "client_order_id": client_order_id(order_id, index),
        "order_id": order_id,
        "child_index": index,
        "strategy_id": "s1",
        "account": ACCOUNT,
        "venue": EXCHANGE,
        "symbol": SYMBOL,
        "side": Side.BUY,
        "child_type": ChildType.LIMIT,
        "quantity": Decimal(1),
        "price": REFERENCE,
    }
    return ChildIntent(**{**fields, **changes})


def a_fill(trade_id: str, quantity: str, price: str = "50000", **changes: Any) -> Fill:
    fields: dict[str, Any] = {
        "trade_id": trade_id,
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "fee": Decimal(quantity) / 1000,
        "fee_asset": "BTC",
        "is_maker": False,
        "traded_at_ms": SIGNED_AT_MS + 7,
    }
    return Fill(**{**fields, **changes})


def a_report(
    status: VenueStatus, executed: str = "0", *fills: Fill, venue_order_id: str = "v1"
) -> ExecutionReport:
    return ExecutionReport(
        client_order_id=None,
        venue_order_id=venue_order_id,
        status=status,
        executed_quantity=Decimal(executed),
        fills=fills,
        venue_time_ms=SIGNED_AT_MS + 9,
    )
