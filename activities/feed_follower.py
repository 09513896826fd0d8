"""Following one account: catch up, follow the stream, book, then tell the owners.

Theory of operation. The private stream has no replay, so it is entered first and the catch-up
runs after that: nothing falls between the two. Stream events are booked at once, but only the
catch-up, which pages through the venue's trade list, moves the cursor; a trade that the stream
lost is therefore found at the next catch-up. The cursor moves past a trade only after the trade
was booked and the owner's signal was accepted, so a crash between the two repeats the signal.

Owners get totals (`ChildReport`), and only orders that may rest get signals: the others are read
by their own workflow within milliseconds.

A trade whose order we cannot name is never judged from the trade alone. Its order is fetched;
it is EXTERNAL only if the venue's order carries no id of an intent of ours.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy.exc import DataError, IntegrityError
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.ledger.results import Booked, TradingState
from activities.ledger.store import LedgerStore
from activities.venues.gateway import (
    OrderAbsentError,
    StreamEvent,
    StreamTrade,
    VenueGateway,
    VenueOrder,
    VenueTrade,
    VenueUnavailableError,
)
from workflows import names
from workflows.domain.orders import ChildIntent, ChildType, TimeInForce
from workflows.domain.reports import ChildReport, ExecutionReport, VenueStatus
from workflows.durations import epoch_ms, in_seconds
from workflows.ports import FEED_TURN

CATCH_UP_EVERY = timedelta(seconds=10)
READY_FOR = timedelta(seconds=30)
PENDING_ALARM_AFTER = timedelta(seconds=60)
MISSED_AFTER = timedelta(seconds=5)
_NO_TRADE_YET = ""
"""Cursor of a symbol without trades at first contact: whatever comes is new, also after a gap."""
_LOOK_AROUND_EVERY_S = 1
_MAX_BATCH = 500
_MAX_TRIES = 20


class Follower:
    """One turn of following one account."""

    def __init__(
        self, gateway: VenueGateway, store: LedgerStore, client: Client, symbols: tuple[str, ...]
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._client = client
        self._symbols = symbols
        self._venue, self._account = gateway.venue, gateway.account
        self.cursor: dict[str, str] = {}
        self.moved_at = time.monotonic()
        self._saved: dict[str, str] = {}
        self._opened_at: datetime | None = None
        self._told: set[tuple[str, str]] = set()
        self._pending_since: dict[tuple[str, str], float] = {}

    async def follow(self) -> None:
        """Enter the stream, catch up, then follow until the turn is over."""
        ends_at = time.monotonic() + FEED_TURN.total_seconds()
        async with self._gateway.stream() as events:
            await self._baseline()
            source = _Batches(events)
            try:
                catch_up_at = time.monotonic()
                while time.monotonic() < ends_at and not activity.is_worker_shutdown():
                    self.moved_at = time.monotonic()
                    if time.monotonic() >= catch_up_at:
                        await self._catch_up()
                        catch_up_at = time.monotonic() + CATCH_UP_EVERY.total_seconds()
                    for batch in await source.next(wait_s=_LOOK_AROUND_EVERY_S):
                        await self._take(batch)
            finally:
                await source.close()

    # --- catch-up -------------------------------------------------------------------------------

    async def _baseline(self) -> None:
        """At first contact trades of the past are history, and balances are the opening ones."""
        if await self._store.opened_at(self._venue, self._account) is None:
            await self._open_account()
        self._opened_at = await self._store.opened_at(self._venue, self._account)
        traded = await self._store.symbols_with_intents(self._venue, self._account)
        for symbol in self._symbols:
            # a symbol that we traded is caught up from its first trade: ours may be among them
            if symbol not in self.cursor and symbol not in traded:
                last = await self._gateway.last_trade_id(symbol)
                await self._save_cursor(symbol, last or _NO_TRADE_YET)

    async def _open_account(self) -> None:
        """Cursors and balances of one moment: no trade between them counts twice or not at all."""
        for _ in range(_MAX_TRIES):
            before = [await self._gateway.last_trade_id(symbol) for symbol in self._symbols]
            balances = await self._gateway.balances()
            after = [await self._gateway.last_trade_id(symbol) for symbol in self._symbols]
            if before == after:
                break
        else:
            raise VenueUnavailableError("trades kept coming while the balances were read")
        for symbol, last in zip(self._symbols, after, strict=True):
            await self._save_cursor(symbol, last or _NO_TRADE_YET)
        await self._store.record_opening_balances(self._venue, self._account, balances)

    async def _all_symbols(self) -> list[str]:
        traded = await self._store.symbols_with_intents(self._venue, self._account)
        return sorted({*self._symbols, *traded})

    async def _catch_up(self) -> None:
        """Book every trade since the cursor, look after silent orders, then declare readiness."""
        for symbol in await self._all_symbols():
            await self._catch_up_symbol(symbol)
        await self._look_after_silent_orders()
        unnamed = [key for key in self._pending_since if self._waits_long(key)]
        reason = f"{len(unnamed)} trades without a readable order" if unnamed else "caught up"
        await self._store.set_readiness(
            self._venue, self._account, not unnamed, in_seconds(READY_FOR), reason
        )

    async def _catch_up_symbol(self, symbol: str) -> None:
        """Take every trade since the cursor; it stays before the first that has no name yet."""
        cursor, moves = self.cursor.get(symbol), True
        for trade in await self._gateway.trades_after(symbol, cursor or None):
            self.moved_at = time.monotonic()
            moves = await self._take_trade(trade) and moves
            if moves:
                cursor = trade.fill.trade_id
        if cursor is not None:
            await self._save_cursor(symbol, cursor)

    async def _save_cursor(self, symbol: str, trade_id: str) -> None:
        """The ledger's cursor moves first: Temporal's is never ahead of it."""
        if self._saved.get(symbol) != trade_id:
            await self._store.save_cursor(self._venue, self._account, symbol, trade_id)
            self._saved[symbol] = self.cursor[symbol] = trade_id

    async def _look_after_silent_orders(self) -> None:
        """Orders that the ledger holds open and the venue does not: their end was missed."""
        working = await self._store.working_children(
            self._venue, self._account, older_than_s=in_seconds(MISSED_AFTER)
        )
        symbols = sorted({child.intent.symbol for child in working})
        open_ids = {
            order.report.venue_order_id
            for symbol in symbols
            for order in await self._gateway.open_orders(symbol)
        }
        for child in working:
            if child.venue_order_id is None or child.venue_order_id in open_ids:
                continue
            with suppress(OrderAbsentError):
                order = await self._gateway.read_order(child.intent.symbol, child.venue_order_id)
                await self._book_and_tell(child.intent, order.report)

    # --- events ---------------------------------------------------------------------------------

    async def _take(self, event: StreamEvent) -> None:
        if isinstance(event, StreamTrade):
            await self._take_trade(event.trade)
        else:
            await self._take_order(event.order)

    async def _take_order(self, order: VenueOrder) -> None:
        report = order.report
        if report.client_order_id is None:
            return
        child = await self._store.child_by_id(report.client_order_id)
        if child is None:
            return
        if report.status is not VenueStatus.OPEN or report.executed_quantity:
            await self._book_and_tell(child.intent, report)
        elif child.venue_order_id is None:  # an acknowledgement that its submitter may have lost
            await self._book(child.intent, report)

    async def _take_trade(self, trade: VenueTrade) -> bool:
        """Book one trade. False when it cannot be attributed yet."""
        key = (trade.symbol, trade.fill.trade_id)
        if key in self._told:
            return True
        child = await self._store.child_by_venue_id(
            self._venue, self._account, trade.symbol, trade.venue_order_id
        )
        intent = child.intent if child else None
        if intent is None:
            order = await self._order_of(trade)
            if order is None:
                await self._wait_for_name(key)
                return False
            known = order.report.client_order_id
            stored = await self._store.child_by_id(known) if known else None
            intent = stored.intent if stored else None
        try:
            await self._book_trade(trade, intent)
        except (IntegrityError, DataError) as error:
            await self._quarantine(key, error)
        self._told.add(key)
        self._pending_since.pop(key, None)
        return True

    async def _book_trade(self, trade: VenueTrade, intent: ChildIntent | None) -> None:
        if intent is not None:
            await self._book_and_tell(intent, _report_of(trade, intent))
        elif not self._is_history(trade):  # history is in the opening balances already
            await self._book_external(trade)

    async def _quarantine(self, key: tuple[str, str], error: Exception) -> None:
        """A trade that cannot be right: a human must look, and the venue only reduces."""
        symbol, trade_id = key
        subject = f"{self._venue}/{self._account}/{symbol}/{trade_id}"
        await self._store.raise_alarm("FILL_QUARANTINED", subject, type(error).__name__)
        await self._store.set_trading_state(
            f"venue:{self._venue}", TradingState.REDUCING, f"a fill of {symbol} cannot be right"
        )

    def _is_history(self, trade: VenueTrade) -> bool:
        """A foreign trade from before the opening balances, of a symbol read from its start."""
        opened_at = self._opened_at
        if trade.symbol in self.cursor or opened_at is None:
            return False
        return trade.fill.traded_at_ms < epoch_ms(opened_at)

    async def _order_of(self, trade: VenueTrade) -> VenueOrder | None:
        try:
            return await self._gateway.read_order(trade.symbol, trade.venue_order_id)
        except (OrderAbsentError, VenueUnavailableError):
            return None

    async def _wait_for_name(self, key: tuple[str, str]) -> None:
        self._pending_since.setdefault(key, time.monotonic())
        if self._waits_long(key):
            symbol, trade_id = key
            subject = f"{self._venue}/{self._account}/{symbol}/{trade_id}"
            await self._store.raise_alarm("TRADE_WITHOUT_ORDER", subject, "its order is unreadable")

    def _waits_long(self, key: tuple[str, str]) -> bool:
        return time.monotonic() - self._pending_since[key] > PENDING_ALARM_AFTER.total_seconds()

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

    async def _book_and_tell(self, intent: ChildIntent, report: ExecutionReport) -> None:
        booked = await self._book(intent, report)
        if _may_rest(intent):
            await self._tell(intent, booked.report, is_new=booked.new_fills > 0)

    async def _book(self, intent: ChildIntent, report: ExecutionReport) -> Booked:
        instrument = await self._gateway.instrument(intent.symbol)
        return await self._store.book_report(intent, report, instrument.base, instrument.quote)

    async def _tell(self, intent: ChildIntent, report: ChildReport, *, is_new: bool) -> None:
        handle = self._client.get_workflow_handle(intent.order_id)
        try:
            await handle.signal(names.EXECUTION_REPORT, report)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            if is_new:
                await self._store.raise_alarm(
                    "FILL_AFTER_CLOSE", intent.client_order_id, f"order_id={intent.order_id}"
                )


class _Batches:
    """Reads the stream in a task of its own, so that waiting for it can have a time limit."""

    def __init__(self, events: AsyncIterator[StreamEvent]) -> None:
        self._queue: asyncio.Queue[StreamEvent] = asyncio.Queue(_MAX_BATCH)
        self._reader = asyncio.create_task(self._read(events))

    async def _read(self, events: AsyncIterator[StreamEvent]) -> None:
        async for event in events:
            await self._queue.put(event)

    async def next(self, *, wait_s: float) -> list[StreamEvent]:
        """What has arrived, oldest first; waits for the first event. Raises when it is lost."""
        getter = asyncio.create_task(self._queue.get())
        await asyncio.wait({getter, self._reader}, timeout=wait_s, return_when="FIRST_COMPLETED")
        batch: list[StreamEvent] = []
        if getter.done():
            batch.append(getter.result())
        else:
            getter.cancel()
        while not self._queue.empty():
            batch.append(self._queue.get_nowait())
        if not batch and self._reader.done():
            self._reader.result()
            raise VenueUnavailableError("the private stream ended")
        return batch

    async def close(self) -> None:
        self._reader.cancel()
        with suppress(asyncio.CancelledError, VenueUnavailableError):
            await self._reader


def _may_rest(intent: ChildIntent) -> bool:
    return intent.child_type is ChildType.LIMIT and intent.time_in_force is TimeInForce.GTC


def _report_of(trade: VenueTrade, intent: ChildIntent) -> ExecutionReport:
    """What one trade proves: this fill, and that the order was live when it happened."""
    return ExecutionReport(
        client_order_id=intent.client_order_id,
        venue_order_id=trade.venue_order_id,
        status=VenueStatus.OPEN,
        executed_quantity=trade.fill.quantity,
        fills=(trade.fill,),
        venue_time_ms=trade.fill.traded_at_ms,
    )
