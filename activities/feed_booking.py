"""Booking what an account's venue says, and telling the orders that own it.

Rule: first the ledger, then the owner; what was not told counts as not taken. A batch is booked
whole before anybody is told: owners that wake up would delay the fills behind them.

A trade whose order we cannot name is never judged from the trade alone. Its order is fetched; it is
EXTERNAL only if the venue's order carries no id of an intent of ours. One answer is no proof of
that: while an order of ours waits for its venue id, the trade may be its. It must not know where
the news come from, nor cursors.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy.exc import DataError, IntegrityError
from temporalio.client import Client

from activities.failpoints import fp
from activities.feed_news import OrderKey, OrderNews, TradeKey, key_of
from activities.feed_owners import Owners, Tidings, side_by_side
from activities.ledger.results import Booked, StoredChild, TradingState
from activities.ledger.store import LedgerStore
from activities.venues.gateway import (
    OrderAbsentError,
    VenueGateway,
    VenueOrder,
    VenueTrade,
    VenueUnavailableError,
)
from workflows.domain.alarms import AlarmCode
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import ExecutionReport, VenueStatus

PENDING_ALARM_AFTER = timedelta(seconds=60)
_MAX_TOLD = 100_000
"""Trades that are remembered as done with, so that a repeated one costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Whose order it is: a child of ours, or with None somebody else's."""

    child: StoredChild | None


class FeedBooks:
    """Takes the news of one account. `is_history` names foreign trades that are not booked."""

    def __init__(
        self,
        gateway: VenueGateway,
        store: LedgerStore,
        client: Client,
        is_history: Callable[[VenueTrade], bool],
    ) -> None:
        self._gateway, self._store = gateway, store
        self._owners = Owners(store, client)
        self._venue, self._account = gateway.venue, gateway.account
        self._is_history = is_history
        self._told: dict[TradeKey, None] = {}
        self._pending_since: dict[TradeKey, float] = {}
        self._rivals: dict[OrderKey, frozenset[str]] = {}

    def unnamed(self) -> list[TradeKey]:
        """Trades that have waited long for an order that can be read."""
        return [key for key in self._pending_since if self._waits_long(key)]

    async def take(self, news: Sequence[OrderNews]) -> set[TradeKey]:
        """Book all of it, then tell. Answers the trades that cannot be attributed yet.

        Raises what the ledger or Temporal raise. What was booked by then is booked, and counts as
        not told.
        """
        taken = await side_by_side(map(self._take, news))
        await self._owners.tell([tidings for found in taken for tidings in found or ()])
        unnamed: set[TradeKey] = set()
        for each, found in zip(news, taken, strict=True):
            keys = [key_of(trade) for trade in each.trades]
            if found is None:
                unnamed.update(keys)
            else:
                self._remember(keys)
        return unnamed

    async def take_read(self, child: StoredChild, report: ExecutionReport) -> None:
        """Book what was read of an order of ours, then tell its owner."""
        await self._owners.tell([await self._book_ours(child.intent, report)])

    async def tell_again(self, children: Sequence[StoredChild]) -> None:
        """Tell their owners what is booked of these orders."""
        for child in children:
            report = await self._store.child_report(child.intent.client_order_id)
            if report is not None:
                await self._owners.tell([Tidings(intent=child.intent, report=report)])

    async def _take(self, news: OrderNews) -> list[Tidings] | None:
        """Book the news of one order. None when it cannot be attributed yet."""
        news.trades = [trade for trade in news.trades if key_of(trade) not in self._told]
        if news.report is None and not news.trades:
            return []
        owner = await self._owner_of(news)
        if owner is None:
            for trade in news.trades:
                await self._wait_for_name(key_of(trade))
            return None
        self._rivals.pop(news.key, None)
        if owner.child is not None:
            return await self._take_ours(owner.child, news)
        await self._take_foreign(news)
        return []

    def _remember(self, keys: Sequence[TradeKey]) -> None:
        for key in keys:
            self._pending_since.pop(key, None)
            self._told[key] = None
        while len(self._told) > _MAX_TOLD:
            del self._told[next(iter(self._told))]

    # --- whose is it? ---------------------------------------------------------------------------

    async def _owner_of(self, news: OrderNews) -> _Owner | None:
        """None when that cannot be known now."""
        child = None
        if news.report is not None and news.report.client_order_id is not None:
            child = await self._store.child_by_id(news.report.client_order_id)
        if child is None:
            child = await self._store.child_by_venue_id(
                self._venue, self._account, news.symbol, news.venue_order_id
            )
        if child is not None or not news.trades:
            return _Owner(child=child)
        order = await self._order_of(news)
        if order is None:
            return None
        known = order.report.client_order_id
        child = await self._store.child_by_id(known) if known else None
        if child is None and await self._may_be_of_ours(news):
            return None
        return _Owner(child=child)

    async def _may_be_of_ours(self, news: OrderNews) -> bool:
        """True while an order of ours that may have traded so has no venue id.

        An order that was sent later cannot have. Not for ever: an order that nobody resolves does
        not keep the account waiting, and the venue has been asked many times by then.
        """
        if any(self._waits_long(key_of(trade)) for trade in news.trades):
            return False
        unanswered = await self._store.children_without_answer(
            self._venue, self._account, news.symbol
        )
        rivals = self._rivals.get(news.key, unanswered) & unanswered
        self._rivals[news.key] = rivals
        return bool(rivals)

    async def _order_of(self, news: OrderNews) -> VenueOrder | None:
        try:
            return await self._gateway.read_order(news.symbol, news.venue_order_id)
        except (OrderAbsentError, VenueUnavailableError):
            return None

    async def _wait_for_name(self, key: TradeKey) -> None:
        self._pending_since.setdefault(key, time.monotonic())
        if self._waits_long(key):
            await self._store.raise_alarm(
                AlarmCode.TRADE_WITHOUT_ORDER,
                self._subject(key),
                "it is not known whose order it is of",
            )

    def _waits_long(self, key: TradeKey) -> bool:
        now = time.monotonic()
        return now - self._pending_since.get(key, now) > PENDING_ALARM_AFTER.total_seconds()

    def _subject(self, key: TradeKey) -> str:
        symbol, trade_id, _ = key
        return f"{self._venue}/{self._account}/{symbol}/{trade_id}"

    # --- ours -----------------------------------------------------------------------------------

    async def _take_ours(self, child: StoredChild, news: OrderNews) -> list[Tidings]:
        intent = child.intent
        if not await self._set_aside_more_than(intent, news):
            return []
        report = news.report_for(intent)
        if news.is_mere_acknowledgement:
            if child.venue_order_id is None:  # its submitter may have lost it
                await self._book(intent, report)
            return []
        try:
            return [await self._book_ours(intent, report)]
        except (IntegrityError, DataError):
            return await self._take_apart(intent, news)

    async def _set_aside_more_than(self, intent: ChildIntent, news: OrderNews) -> bool:
        """Quarantine trades that are larger than their whole order. True if any news is left."""
        for trade in [each for each in news.trades if each.fill.quantity > intent.quantity]:
            await self._quarantine(key_of(trade), "more than was ordered")
            news.trades.remove(trade)
        return news.report is not None or bool(news.trades)

    async def _take_apart(self, intent: ChildIntent, news: OrderNews) -> list[Tidings]:
        """One fill among them cannot be right: the others are booked all the same."""
        tidings = []
        if news.report is not None:
            tidings.append(await self._book_ours(intent, news.report))
        for trade in news.trades:
            alone = OrderNews(
                symbol=news.symbol, venue_order_id=news.venue_order_id, trades=[trade]
            )
            try:
                tidings.append(await self._book_ours(intent, alone.report_for(intent)))
            except (IntegrityError, DataError) as error:
                await self._quarantine(key_of(trade), type(error).__name__)
        return tidings[-1:]  # each says all that was booked by then

    async def _book_ours(self, intent: ChildIntent, report: ExecutionReport) -> Tidings:
        booked = await self._book(intent, report)
        is_new = booked.new_fills > 0
        known = booked.report
        if known.filled_quantity >= intent.quantity and not known.status.is_terminal:
            # its fills prove its end, whatever the venue has told of the order itself
            whole = replace(
                report, status=VenueStatus.FILLED, executed_quantity=intent.quantity, fills=()
            )
            booked = await self._book(intent, whole)
        fp("feed.after_booking", intent.client_order_id, intent.order_id)
        return Tidings(intent=intent, report=booked.report, is_new=is_new)

    async def _book(self, intent: ChildIntent, report: ExecutionReport) -> Booked:
        instrument = await self._gateway.instrument(intent.symbol)
        return await self._store.book_report(intent, report, instrument.base, instrument.quote)

    # --- not ours, and not right ----------------------------------------------------------------

    async def _take_foreign(self, news: OrderNews) -> None:
        for trade in news.trades:
            if self._is_history(trade):  # it is in the opening balances already
                continue
            try:
                await self._book_external(trade)
            except (IntegrityError, DataError) as error:
                await self._quarantine(key_of(trade), type(error).__name__)

    async def _book_external(self, trade: VenueTrade) -> None:
        instrument = await self._gateway.instrument(trade.symbol)
        await self._store.book_external(
            self._venue,
            self._account,
            trade.symbol,
            trade.venue_order_id,
            trade.side,
            [trade.fill],
            base=instrument.base,
            quote=instrument.quote,
        )

    async def _quarantine(self, key: TradeKey, why: str) -> None:
        """A trade that cannot be right: a human must look, and the venue only reduces."""
        await self._store.raise_alarm(AlarmCode.FILL_QUARANTINED, self._subject(key), why)
        await self._store.set_trading_state(
            f"venue:{self._venue}",
            TradingState.REDUCING,
            f"a fill of {key[0]} cannot be right",
            only_tighter=True,
        )
