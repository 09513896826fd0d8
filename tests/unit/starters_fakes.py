"""Stand-ins for Temporal and the ledger behind the starters: small, and they remember."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx

from activities.ledger.views import InvalidCursorError
from starters.api.app import create_app
from starters.client import OrderNotFound, Unavailable
from starters.connections import Connections
from workers.settings import Settings, load_settings
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Side
from workflows.messages import OrderRequest, OrderSnapshot, TwapProgress

JSON = {"Content-Type": "application/json"}


def settings_of(**environ: str) -> Settings:
    """Settings from nothing but these variables."""
    return load_settings({"EXCHANGES": "binance", **environ})


def snapshot(order_id: str = "a", **changes: Any) -> OrderSnapshot:
    """A market order at work."""
    fields: dict[str, Any] = {
        "order_id": order_id,
        "status": OrderStatus.WORKING,
        "order_type": OrderType.MARKET,
        "strategy_id": "s1",
        "account": "main",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "quantity": Decimal("0.10"),
        "filled_quantity": Decimal("0.05"),
        "average_price": Decimal("50000"),
    }
    return OrderSnapshot(**fields | changes)


def twap_snapshot(order_id: str = "t") -> OrderSnapshot:
    """A TWAP after three of ten slices."""
    twap = TwapProgress(
        slices_planned=10,
        slices_done=3,
        slices_sent=3,
        slices_filled=2,
        slices_late=0,
        next_slice_at="2026-01-01T00:00:00+00:00",
        spacing_s=Decimal(60),
        percent=Decimal(25),
    )
    return snapshot(order_id, order_type=OrderType.TWAP, twap=twap)


def denied(code: DenialCode, field: str | None = None) -> OrderSnapshot:
    return snapshot(status=OrderStatus.DENIED, code=code, field=field, reason="limit=1 asked=2")


class FakeClient:
    """Answers `submit` and `cancel` with what it was given: a snapshot, or an error to raise."""

    def __init__(self, answer: OrderSnapshot | Exception | None, asked: list[Any]) -> None:
        self._answer, self._asked = answer, asked

    def _reply(self) -> OrderSnapshot:
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None
        return self._answer

    async def submit(self, request: OrderRequest) -> OrderSnapshot:
        self._asked.append(request)
        if self._answer is None:
            return snapshot(request.order_id or "", status=OrderStatus.ACCEPTED)
        return self._reply()

    async def cancel(self, order_id: str, reason: str) -> OrderSnapshot:
        self._asked.append((order_id, reason))
        return self._reply()

    async def progress(self, order_id: str) -> OrderSnapshot:
        if self._answer is None:
            raise OrderNotFound(order_id)
        return self._reply()

    async def check(self) -> None:
        return None


class FakeLedger:
    """Holds orders, newest first; knows one cursor. `rows` are answers of other questions."""

    def __init__(self, orders: Sequence[OrderSnapshot], rows: dict[str, Any]) -> None:
        self._orders, self._rows = orders, rows

    async def order(self, order_id: str) -> OrderSnapshot | None:
        return next((each for each in self._orders if each.order_id == order_id), None)

    async def orders(
        self, *, limit: int, cursor: str | None, **_filters: object
    ) -> tuple[list[OrderSnapshot], str | None]:
        start = 0
        if cursor is not None:
            if not cursor.isdigit():
                raise InvalidCursorError
            start = int(cursor)
        following = start + limit
        more = str(following) if following < len(self._orders) else None
        return list(self._orders[start:following]), more

    def __getattr__(self, question: str) -> Any:
        async def ask(*_arguments: object) -> Any:
            return self._rows[question]

        return ask


class FakeConnections(Connections):
    """Connections to the fakes. `answer` is the client's; None accepts each order."""

    def __init__(
        self,
        answer: OrderSnapshot | Exception | None = None,
        *,
        orders: Sequence[OrderSnapshot] = (),
        rows: dict[str, Any] | None = None,
        is_temporal_away: bool = False,
        is_ledger_away: bool = False,
    ) -> None:
        super().__init__(settings_of())
        self.asked: list[Any] = []
        self._client = FakeClient(answer, self.asked)
        self._fake_ledger = FakeLedger(orders, rows or {})
        self._is_temporal_away, self._is_ledger_away = is_temporal_away, is_ledger_away

    async def orders(self) -> Any:
        if self._is_temporal_away:
            raise Unavailable("Temporal does not answer")
        return self._client

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[Any]:
        if self._is_ledger_away:
            raise Unavailable("the ledger does not answer")
        yield self._fake_ledger


async def call(connections: Connections, method: str, path: str, **options: Any) -> httpx.Response:
    """One request to the app, without a server; a body is JSON unless headers say otherwise."""
    if "content" in options:
        options.setdefault("headers", JSON)
    app = create_app(settings_of(), connections)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://delta") as client:
        return await client.request(method, path, **options)
