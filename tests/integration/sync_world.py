"""A venue that a test writes line by line, for comparisons with a real ledger."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from activities.feed_booking import FeedBooks
from activities.ledger.sync_reader import SyncReader
from activities.ledger.sync_store import SyncStore
from activities.sync_account import AccountComparison
from activities.sync_trades import Histories
from activities.venues.gateway import (
    OrderAbsentError,
    SymbolUnknownError,
    VenueOrder,
    VenueTrade,
    VenueUnavailableError,
)
from tests.integration.ledger_world import ACCOUNT, EXCHANGE, SYMBOL, World, a_report
from workflows.domain.instruments import Quote
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.reconciliation import DifferenceKind
from workflows.domain.reports import ExecutionReport, Fill, VenueStatus
from workflows.ports.sync import FoundDifference, SyncAction

LISTED = (SYMBOL, "LTC/USDT")
OPENING = {"USDT": Decimal(1_000_000), "BTC": Decimal(10)}


class ScriptedVenue:
    """Tells what it was given. `between_balances` is called before each reading of balances."""

    venue, account = EXCHANGE, ACCOUNT

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.trades: list[VenueTrade] = []
        self.listed: dict[str, VenueOrder] = {}
        self.readable: dict[str, VenueOrder] = {}
        self.held: dict[str, Decimal] = {}
        self.is_away = False
        self.between_balances: Callable[[], None] = lambda: None
        self.starts: list[str | None] = []

    def trade(self, number: int, quantity: str, *, order: str = "v1", **changes: Any) -> VenueTrade:
        """List a trade, a minute old unless changed; the newest numbers come last."""
        age_s = changes.pop("age_s", 60)
        symbol, side = changes.pop("symbol", SYMBOL), changes.pop("side", Side.BUY)
        fields: dict[str, Any] = {
            "trade_id": str(number),
            "price": Decimal(50_000),
            "quantity": Decimal(quantity),
            "fee": Decimal(0),
            "fee_asset": symbol.partition("/")[0],
            "is_maker": False,
            "traded_at_ms": self.now_ms - age_s * 1000,
        }
        made = VenueTrade(
            symbol=symbol,
            venue_order_id=order,
            side=side,
            fill=Fill(**fields | changes),
            cursor=str(number),
        )
        self.trades.append(made)
        return made

    def rests(self, intent: ChildIntent, order: str = "v1", executed: str = "0") -> VenueOrder:
        """List an order of ours as open."""
        made = self.order(order, intent.client_order_id, executed=executed)
        self.listed[order] = self.readable[order] = made
        return made

    def order(
        self,
        order: str,
        name: str | None = None,
        status: VenueStatus = VenueStatus.OPEN,
        executed: str = "0",
    ) -> VenueOrder:
        report: ExecutionReport = replace(
            a_report(status, executed, venue_order_id=order), client_order_id=name
        )
        return VenueOrder(
            symbol=SYMBOL, side=Side.BUY, quantity=Decimal(1), price=Decimal(50_000), report=report
        )

    def _answer(self) -> None:
        if self.is_away:
            raise VenueUnavailableError("away")

    async def instrument(self, symbol: str) -> Any:
        base, _, quote = symbol.partition("/")
        return type("Rules", (), {"base": base, "quote": quote})()

    async def quote(self, symbol: str) -> Quote:
        self._listed(symbol)
        return Quote(bid=Decimal(80), ask=Decimal(82), read_at_ms=self.now_ms)

    async def venue_time_ms(self) -> int:
        self._answer()
        return self.now_ms

    async def trades_after(self, symbol: str, cursor: str | None) -> list[VenueTrade]:
        self._answer()
        self._listed(symbol)
        self.starts.append(cursor)
        first = -1 if cursor is None else int(cursor)
        found = [each for each in self.trades if each.symbol == symbol]
        return sorted(
            (each for each in found if int(each.cursor) > first), key=lambda each: int(each.cursor)
        )

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        self._answer()
        return [each for each in self.listed.values() if each.symbol == symbol]

    async def read_order(self, _symbol: str, venue_order_id: str) -> VenueOrder:
        if venue_order_id not in self.readable:
            raise OrderAbsentError(venue_order_id)
        return self.readable[venue_order_id]

    async def balances(self) -> dict[str, Decimal]:
        self._answer()
        self.between_balances()
        return dict(self.held)

    async def free_balances(self) -> dict[str, Decimal]:
        return dict(self.held)

    def _listed(self, symbol: str) -> None:
        if symbol not in LISTED:
            raise SymbolUnknownError(symbol)


class Owners:
    """Of Temporal's client what booking uses: it keeps whom it told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def get_workflow_handle(self, workflow_id: str) -> Any:
        told = self.told

        class Handle:
            async def signal(self, _name: str, _report: object) -> None:
                told.append(workflow_id)

        return Handle()


async def grow_old(ledger: World) -> None:
    """What rests, rests long enough to be looked at."""
    await ledger.rows(
        "UPDATE child_orders SET updated_at = updated_at - interval '10 s' RETURNING order_id"
    )


async def opened(ledger: World) -> ScriptedVenue:
    """An account whose opening balances were taken an hour ago."""
    await ledger.store.record_opening_balances(EXCHANGE, ACCOUNT, OPENING)
    await ledger.rows(
        "UPDATE account_readiness SET opened_at = opened_at - interval '1 h' RETURNING account"
    )
    made = ScriptedVenue(int(await ledger.value("SELECT extract(epoch FROM now()) * 1000")))
    made.held = dict(OPENING)
    return made


async def resting(ledger: World, venue: ScriptedVenue) -> ChildIntent:
    """An order of ours that rests there since long, as v1."""
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.OPEN))
    venue.rests(intent)
    await grow_old(ledger)
    return intent


def pay(venue: ScriptedVenue, quantity: str) -> None:
    """Our account bought so much."""
    venue.held["BTC"] += Decimal(quantity)
    venue.held["USDT"] -= Decimal(quantity) * 50_000


class Compared:
    """One comparison and its findings."""

    def __init__(self, ledger: World, venue: ScriptedVenue, owners: Owners) -> None:
        self._ledger, self._venue, self._owners = ledger, venue, owners
        self._histories: Histories = {}
        self.has_settled = False

    async def run(self) -> list[FoundDifference]:
        gateway: Any = self._venue
        client: Any = self._owners
        reader = SyncReader(self._ledger.engine)
        opened_at = await reader.opened_at(EXCHANGE, ACCOUNT)
        assert opened_at is not None
        comparison = AccountComparison(
            gateway,
            self._ledger.store,
            reader,
            SyncStore(self._ledger.engine),
            FeedBooks(gateway, self._ledger.store, client, lambda _: False),
            opened_at=opened_at,
            follow=(SYMBOL,),
            histories=self._histories,
        )
        found = await comparison.run()
        self.has_settled = comparison.has_settled
        return found

    async def kinds(self) -> list[tuple[DifferenceKind, SyncAction]]:
        return [(each.kind, each.action) for each in await self.run()]
