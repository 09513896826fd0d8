"""Stand-ins for Temporal and the ledger behind the starters: small, and they remember."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

import httpx
from fastapi import FastAPI

from activities.ledger.view_keys import KeyViews
from activities.ledger.view_models import ExecutionView
from activities.ledger.views import InvalidCursorError
from starters import trail
from starters.api.app import create_app
from starters.client import OrderNotFound, Unavailable
from starters.connections import Connections
from starters.kinds import Kind
from tests.unit.access_fakes import BEARER, EVERYTHING, FakeKeys, FakeTrail
from tests.unit.execution_samples import arbitrage, rebalance
from workers.settings import Settings, load_settings
from workflows.domain.access import Caller
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Placement, Side
from workflows.domain.triggers import TriggerSource
from workflows.execution_messages import (
    ArbitragePlan,
    ArbitrageSnapshot,
    RebalancePlan,
    RebalanceSnapshot,
)
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_views import IcebergProgress, StopProgress, TwapProgress
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import ActionKind, AmendRequest, ResolveRequest, SteerRequest
from workflows.sync_messages import SyncReport

JSON = {"Content-Type": "application/json"}


def settings_of(**environ: str) -> Settings:
    """Settings from nothing but these variables."""
    unlimited = {"API_READ_RATE": "0", "API_TRADE_RATE": "0"}
    return load_settings({"EXCHANGES": "binance", **unlimited, **environ})


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


def iceberg_snapshot(order_id: str = "i") -> OrderSnapshot:
    """An iceberg that shows its third tip."""
    iceberg = IcebergProgress(
        placement=Placement.ENGINE,
        display_quantity=Decimal("0.01"),
        tips_shown=3,
        tips_filled=2,
        hidden_quantity=Decimal("0.07"),
        current_tip=Decimal("0.008"),
        current_price=Decimal("50000"),
        percent=Decimal(22),
    )
    return snapshot(order_id, order_type=OrderType.ICEBERG, iceberg=iceberg)


def stop_snapshot(order_id: str = "s", **changes: Any) -> OrderSnapshot:
    """A trailing stop that is armed."""
    fields: dict[str, Any] = {
        "placement": Placement.ENGINE,
        "phase": "armed",
        "trigger_price": Decimal("49750"),
        "trigger_source": TriggerSource.BID_ASK,
        "extreme": Decimal("50508"),
        "is_protected": True,
        "protected_quantity": Decimal("0.1"),
    }
    stop = StopProgress(**fields | changes)
    kind, status = OrderType.TRAILING_STOP, OrderStatus.WAITING_PRICE
    return snapshot(order_id, order_type=kind, status=status, side=Side.SELL, stop=stop)


Told = OrderSnapshot | ArbitrageSnapshot | RebalanceSnapshot | OrderPreview | SyncReport


class FakeClient:
    """Answers each call with what it was given: a snapshot, or an error to raise.

    It is its own `calls` of every kind.
    """

    def __init__(self, answer: Told | Exception | None, asked: list[Any]) -> None:
        self._answer, self._asked = answer, asked
        self._kind: Kind[Any] | None = None

    def _reply(self) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None
        return self._answer

    async def submit(self, request: OrderRequest) -> OrderSnapshot:
        self._asked.append(request)
        if self._answer is None:
            return snapshot(request.order_id or "", status=OrderStatus.ACCEPTED)
        reply: OrderSnapshot = self._reply()
        return reply

    async def execute_arbitrage(self, plan: ArbitragePlan) -> ArbitrageSnapshot:
        self._asked.append(plan)
        if self._answer is None:
            return arbitrage(execution_id=plan.id or "")
        reply: ArbitrageSnapshot = self._reply()
        return reply

    async def rebalance(self, plan: RebalancePlan) -> RebalanceSnapshot:
        self._asked.append(plan)
        if self._answer is None:
            return rebalance(execution_id=plan.id or "")
        reply: RebalanceSnapshot = self._reply()
        return reply

    async def preview_rebalance(self, plan: RebalancePlan) -> RebalanceSnapshot:
        return await self.rebalance(plan.model_copy(update={"preview": True}))

    async def steer(
        self, kind: ActionKind, order_id: str, request: SteerRequest | AmendRequest
    ) -> OrderSnapshot:
        self._asked.append((kind, order_id, request))
        reply: OrderSnapshot = self._reply()
        return reply

    async def resolve(self, order_id: str, request: ResolveRequest) -> None:
        self._asked.append((order_id, request))
        self._reply()

    async def sync(self, exchange: str, *, requested_by: str) -> Any:
        self._asked.append((exchange, requested_by))
        return self._reply()

    async def preview(self, request: OrderRequest) -> OrderPreview:
        self._asked.append(request)
        reply: OrderPreview = self._reply()
        return reply

    def calls(self, kind: Kind[Any]) -> "FakeClient":
        self._kind = kind
        return self

    async def cancel(self, id: str, reason: str) -> Any:
        self._asked.append((id, reason))
        return self._reply()

    async def progress(self, id: str) -> Any:
        if self._answer is None:
            raise OrderNotFound(id) if self._kind is None else self._kind.absent(id)
        return self._reply()

    async def watch(self, id: str, **_waits: float) -> AsyncIterator[Any]:
        yield self._reply()

    async def check(self) -> None:
        return None


class FakeLedger:
    """Holds orders and executions, newest first. `rows` are answers of other questions."""

    def __init__(
        self,
        orders: Sequence[OrderSnapshot],
        executions: Sequence[ExecutionView],
        rows: dict[str, Any],
    ) -> None:
        self._orders, self._executions, self._rows = orders, executions, rows

    async def order(self, order_id: str) -> OrderSnapshot | None:
        return next((each for each in self._orders if each.order_id == order_id), None)

    async def orders(
        self,
        *,
        limit: int,
        cursor: str | None,
        status: OrderStatus | None = None,
        is_open: bool = False,
        **_filters: object,
    ) -> tuple[list[OrderSnapshot], str | None]:
        found = [each for each in self._orders if status in (None, each.status)]
        return _page(
            [each for each in found if not (is_open and each.status.is_terminal)], limit, cursor
        )

    async def execution(self, execution_id: str) -> ExecutionView | None:
        found = (each for each in self._executions if each.execution_id == execution_id)
        return next(found, None)

    async def execution_legs(self, execution_id: str) -> list[OrderSnapshot]:
        return [each for each in self._orders if each.order_id.startswith(f"{execution_id}:")]

    async def executions(
        self,
        kind: ExecutionKind,
        *,
        status: ExecutionStatus | None,
        limit: int,
        cursor: str | None,
        **_filters: object,
    ) -> tuple[list[ExecutionView], str | None]:
        found = [each for each in self._executions if each.kind is kind]
        return _page([each for each in found if status in (None, each.status)], limit, cursor)

    async def armed_watch(self, _order_id: str) -> Any:
        return self._rows.get("armed_watch")

    def __getattr__(self, question: str) -> Any:
        return _answer_of(self._rows, question)


class FakeViews:
    """Answers of other views of the ledger; `orders` is here the sums of orders."""

    def __init__(self, rows: dict[str, Any]) -> None:
        self._rows = rows | {"orders": rows.get("order_sums")}

    def __getattr__(self, question: str) -> Any:
        return _answer_of(self._rows, question)


def _answer_of(rows: dict[str, Any], question: str) -> Any:
    async def ask(*arguments: object, **keywords: object) -> Any:
        answer = rows.get(question, [])
        return answer(*arguments, **keywords) if callable(answer) else answer

    return ask


class FakeDesk:
    """Remembers what was decided, as (what, arguments, keywords); `answer` is every answer."""

    def __init__(self, asked: list[Any], answer: Any) -> None:
        self._asked, self._answer = asked, answer

    def __getattr__(self, decision: str) -> Any:
        async def decide(*arguments: object, **keywords: object) -> Any:
            self._asked.append((decision, arguments, keywords))
            return self._answer

        return decide


def _page(found: Sequence[Any], limit: int, cursor: str | None) -> tuple[list[Any], str | None]:
    """Cursors are numbers here."""
    if cursor is not None and not cursor.isdigit():
        raise InvalidCursorError
    start = int(cursor or 0)
    following = start + limit
    more = str(following) if following < len(found) else None
    return list(found[start:following]), more


class FakeConnections(Connections):
    """Connections to the fakes. `answer` is the client's; None accepts each order.

    `caller` holds the key that `call` sends; `told` is what the audit trail was told.
    """

    def __init__(
        self,
        answer: Told | Exception | None = None,
        *,
        orders: Sequence[OrderSnapshot] = (),
        executions: Sequence[ExecutionView] = (),
        rows: dict[str, Any] | None = None,
        is_temporal_away: bool = False,
        is_ledger_away: bool = False,
        decided: Any = None,
        caller: Caller = EVERYTHING,
    ) -> None:
        super().__init__(settings_of())
        self._decided = decided
        self.asked: list[Any] = []
        self._client = FakeClient(answer, self.asked)
        self._rows = rows or {}
        self._fake_ledger = FakeLedger(orders, executions, self._rows)
        self._is_temporal_away, self._is_ledger_away = is_temporal_away, is_ledger_away
        self.caller = caller
        self.told: list[trail.Told] = []

    async def orders(self) -> Any:
        if self._is_temporal_away:
            raise Unavailable("Temporal does not answer")
        return self._client

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[Any]:
        if self._is_ledger_away:
            raise Unavailable("the ledger does not answer")
        yield self._fake_ledger

    @asynccontextmanager
    async def reading(self, views: object) -> AsyncIterator[Any]:
        """All other views are one fake: their questions have different names.

        Keys can be checked whatever else is away: every process remembers them for a moment.
        """
        if views is KeyViews:
            yield FakeKeys(self.caller)
            return
        async with self.ledger():
            yield FakeViews(self._rows)

    @cached_property
    def trail(self) -> Any:
        return FakeTrail(self.told)

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Any]:
        if self._is_ledger_away:
            raise Unavailable("the ledger does not answer")
        yield FakeDesk(self.asked, self._decided)


@cache
def _app() -> FastAPI:
    """Made once: that costs more than a call."""
    return create_app(settings_of())


async def call(
    connections: Connections,
    method: str,
    path: str,
    *,
    settings: Settings | None = None,
    **options: Any,
) -> httpx.Response:
    """One request to the app, without a server; a body is JSON unless headers say otherwise."""
    headers = options.pop("headers", JSON if "content" in options else {})
    given = [*headers.items()] if isinstance(headers, dict) else [*headers]
    if "Authorization" not in httpx.Headers(headers):
        given += BEARER.items()
    app = _app()
    app.state.connections, app.state.settings = connections, settings or settings_of()
    app.state.health = None
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, headers=given, **options)
