"""One comparison of one account with the ledger: trades, then orders, then balances.

Theory of operation. Balances can be compared only at a quiet point: both books and venue are read
twice around each other, and no trade may have come meanwhile. A balance that differs then is told
and stays a break; an asset that moved may show a symbol that nobody follows, whose trades are
looked at too. All findings are written in the end, so a venue that goes away in the middle leaves
no half result: what was booked until then was true.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from activities.feed_booking import FeedBooks
from activities.ledger.store import LedgerStore
from activities.ledger.store_foreign import ForeignOrder
from activities.ledger.sync_reader import SyncReader
from activities.ledger.sync_store import Observer, SyncStore
from activities.sync_orders import OrderLook, is_open
from activities.sync_trades import Histories, TradeLook
from activities.venues.gateway import SymbolUnknownError, VenueGateway, VenueUnavailableError
from workflows.domain.exact import exact
from workflows.domain.reconciliation import (
    Difference,
    DifferenceKind,
    assets_of,
    compare_balances,
    missing_fill,
    worth_of,
)
from workflows.ports.sync import FoundDifference, SyncAction

QUIET_TRIES = 3
_ALWAYS = (
    DifferenceKind.MISSING_FILL,
    DifferenceKind.UNKNOWN_FILL,
    DifferenceKind.FILL_FIGURES,
    DifferenceKind.OPEN_ORDER,
    DifferenceKind.EXECUTED_QUANTITY,
)
_MS_PER_S = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Balances:
    """Ours and the venue's at a quiet point."""

    ours: Mapping[str, Decimal]
    total: Mapping[str, Decimal]
    free: Mapping[str, Decimal]


class AccountComparison:
    """Compares one account once. `follow` are the symbols that are looked at in any case."""

    def __init__(
        self,
        gateway: VenueGateway,
        ledger: LedgerStore,
        reader: SyncReader,
        store: SyncStore,
        books: FeedBooks,
        *,
        opened_at: datetime,
        follow: tuple[str, ...],
        histories: Histories,
    ) -> None:
        self._gateway, self._ledger, self._reader, self._store = gateway, ledger, reader, store
        self._venue, self._account = gateway.venue, gateway.account
        self._trades = TradeLook(gateway, reader, books, opened_at, histories)
        self._orders = OrderLook(gateway, ledger, reader, books)
        self._symbols = list(follow)
        self._cursors: dict[str, str] = {}
        self.has_settled = False

    async def run(self) -> list[FoundDifference]:
        """Compare, book what was missed, write what was found.

        VenueUnavailableError: nothing is said of the account. Raises what ledger and Temporal do.
        """
        known = await self._reader.symbols(self._venue, self._account)
        self._symbols = sorted({*self._symbols, *known})
        self._cursors = await self._ledger.load_cursors(self._venue, self._account)
        await self._trades.catch_up(self._symbols, self._cursors)
        await self._orders.look(self._symbols)
        balances, worth = await self._settle()
        found = [each for some in self._trades.differences.values() for each in some]
        found += self._orders.differences
        if balances is not None:
            self.has_settled = True
            found += compare_balances(balances.ours, balances.total, worth)
        return await self._write(found, balances)

    # --- balances ---

    async def _settle(self) -> tuple[_Balances | None, dict[str, Decimal]]:
        """The balances, once nothing moved while they were read; None when it never stood still."""
        worth = worth_of(await self._reader.marks(self._venue))
        for _ in range(QUIET_TRIES):
            balances = await self._quiet_balances()
            if balances is None:
                continue
            differences = compare_balances(balances.ours, balances.total, worth)
            unpriced = {each.object for each in differences if each.value is None}
            if not await self._follow_more({each.object for each in differences}):
                return balances, worth | await self._priced(unpriced)
        return None, worth

    async def _quiet_balances(self) -> _Balances | None:
        ours = await self._reader.balances(self._venue, self._account)
        total = await self._gateway.balances()
        free = await self._gateway.free_balances()
        again = await self._gateway.balances()
        has_traded = await self._trades.catch_up(self._symbols, self._cursors)
        ours_after = await self._reader.balances(self._venue, self._account)
        if has_traded or total != again or ours != ours_after:
            return None
        return _Balances(ours=ours, total=total, free=free)

    async def _follow_more(self, assets: set[str]) -> bool:
        """Look at symbols that nobody follows and that these assets hint at; True for any trade."""
        has_traded = False
        for symbol in self._hinted(assets):
            if symbol in self._symbols:
                continue
            try:
                has_traded |= await self._trades.catch_up([symbol], self._cursors)
            except SymbolUnknownError:
                continue
            self._symbols.append(symbol)
        return has_traded

    def _hinted(self, assets: set[str]) -> list[str]:
        quotes = {assets_of(symbol)[1] for symbol in self._symbols}
        return sorted(f"{asset}/{quote}" for asset in assets for quote in quotes if asset != quote)

    async def _priced(self, assets: set[str]) -> dict[str, Decimal]:
        """What is not marked is asked for; what has no market here has no value."""
        worth: dict[str, Decimal] = {}
        for symbol in self._hinted(assets):
            try:
                quote = await self._gateway.quote(symbol)
            except (SymbolUnknownError, VenueUnavailableError):
                continue
            with exact():
                worth[assets_of(symbol)[0]] = (quote.bid + quote.ask) / 2
        return worth

    # --- what was found ---

    async def _write(
        self, found: list[Difference], balances: _Balances | None
    ) -> list[FoundDifference]:
        looked_at = [*_ALWAYS, *([DifferenceKind.BALANCE] if balances is not None else [])]
        foreign = list(self._orders.foreign.values())
        ages = await self._store.record_foreign(self._venue, self._account, foreign)
        seen = await self._store.observe(
            Observer.SYNC, self._venue, self._account, found, looked_at=looked_at
        )
        if balances is not None:
            await self._store.store_balances(
                self._venue, self._account, balances.total, balances.free
            )
            await self._store.note_synced(self._venue, self._account)
        await self._store.escalate(self._venue)
        answer = [_found(each.difference, SyncAction.OPEN, each.age_s) for each in seen]
        answer += await self._booked()
        for order in foreign:
            age_s = ages[order.symbol, order.venue_order_id]
            answer.append(_found(_of_foreign(order), SyncAction.RECORDED, age_s))
        return answer

    async def _booked(self) -> list[FoundDifference]:
        now_ms = await self._gateway.venue_time_ms()
        return [
            _found(
                missing_fill(trade, "was missed"),
                SyncAction.BOOKED,
                Decimal(max(now_ms - trade.traded_at_ms, 0)) / _MS_PER_S,
            )
            for trade in self._trades.booked.values()
        ]


def _of_foreign(order: ForeignOrder) -> Difference:
    value = None
    if order.price is not None:
        with exact():
            value = (order.quantity - order.executed_quantity) * order.price
    return Difference(
        kind=DifferenceKind.EXTERNAL_ORDER,
        object=f"{order.symbol}/{order.venue_order_id}",
        theirs=order.quantity,
        value=value if is_open(order) else None,
        detail=f"{order.side}, {order.status}, executed {order.executed_quantity:f}",
    )


def _found(difference: Difference, action: SyncAction, age_s: Decimal) -> FoundDifference:
    return FoundDifference(
        kind=difference.kind,
        object=difference.object,
        action=action,
        age_s=age_s,
        ours=difference.ours,
        theirs=difference.theirs,
        value=difference.value,
        detail=difference.detail,
    )
