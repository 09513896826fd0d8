"""Following one account: catch up, follow the stream, book, then tell the owners.

Theory of operation. The private stream has no replay, so it is entered first and the catch-up
runs after that: nothing falls between the two. Stream events are booked at once, but only the
catch-up, which pages through the venue's trade list, moves the cursor; a trade that the stream
lost is therefore found at the next catch-up. The cursor moves past a trade only after the trade
was booked and the owner's signal was accepted, so a crash between the two repeats the signal. An
end without a trade has no cursor: at the start of a turn such ends are told again.

A venue may list a trade late, behind one that was seen already. So each catch-up reads again what
the last ones read. A stream that cannot be entered is no reason to be blind: the trade list alone
tells the truth, only later.
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from temporalio import activity
from temporalio.client import Client

from activities.failpoints import fp
from activities.feed_batches import MAX_BATCH, Batches
from activities.feed_booking import FeedBooks
from activities.feed_news import TradeKey, by_order, key_of
from activities.ledger.results import StoredChild
from activities.ledger.store import LedgerStore
from activities.venues.gateway import (
    OrderAbsentError,
    StreamTrade,
    VenueGateway,
    VenueTrade,
    VenueUnavailableError,
)
from workflows.durations import epoch_ms, in_seconds
from workflows.ports import FEED_TURN

CATCH_UP_EVERY = timedelta(seconds=10)
"""Unless the settings say otherwise; the rest goes by READY_FOR, which must be longer."""
LOOK_BACK = timedelta(seconds=30)
READY_FOR = timedelta(seconds=30)
MISSED_AFTER = timedelta(seconds=5)
READINGS = "*"
"""Beside the symbols of a cursor: how often the account was read to its end. A ledger that knows of
fewer than it told once was restored from a backup, traded or not."""
_NO_TRADE_YET = ""
"""Cursor of a symbol without trades at first contact: whatever comes is new, also after a gap."""
_LOOK_AROUND_EVERY_S = 1
_MAX_TRIES = 20


class LedgerRestoredError(Exception):
    """The ledger has forgotten what was booked: it was restored under a running feed."""


class LookBack:
    """Where a catch-up starts, so that a trade that was listed late is seen by a later one."""

    def __init__(self, cursor: str | None) -> None:
        self._marks = deque([(time.monotonic(), cursor)])

    @property
    def start(self) -> str | None:
        """The cursor as it was a while ago."""
        return self._marks[0][1]

    def passed(self, cursor: str | None) -> None:
        """Everything up to `cursor` was taken now."""
        now = time.monotonic()
        self._marks.append((now, cursor))
        while len(self._marks) > 1 and self._marks[1][0] <= now - LOOK_BACK.total_seconds():
            self._marks.popleft()


class Follower:
    """One turn of following one account, whose trades are read again every `catch_up_every`."""

    def __init__(
        self,
        gateway: VenueGateway,
        store: LedgerStore,
        client: Client,
        symbols: tuple[str, ...],
        catch_up_every: timedelta = CATCH_UP_EVERY,
    ) -> None:
        self._gateway = gateway
        self._catch_up_every_s = catch_up_every.total_seconds()
        self._store = store
        self._symbols = symbols
        self._venue, self._account = gateway.venue, gateway.account
        self._books = FeedBooks(gateway, store, client, self._is_history)
        self.cursor: dict[str, str] = {}
        self.moved_at = time.monotonic()
        self.has_caught_up = False
        self._saved: dict[str, str] = {}
        self._look_back: dict[str, LookBack] = {}
        self._opened_at: datetime | None = None

    async def follow(self) -> None:
        """Enter the stream, catch up, then follow until the turn is over.

        VenueUnavailableError when the stream is lost, or cannot be entered: then after a catch-up.
        """
        is_blind = True
        try:
            async with self._gateway.stream() as events:
                is_blind = False
                await self._begin()
                source = Batches(events)
                try:
                    await self._until_the_turn_ends(source)
                finally:
                    await source.close()
        except VenueUnavailableError:
            if is_blind:
                await self._begin()
                await self._catch_up()
            raise

    async def _until_the_turn_ends(self, source: Batches) -> None:
        ends_at = time.monotonic() + FEED_TURN.total_seconds()
        catch_up_at = time.monotonic()
        while time.monotonic() < ends_at and not activity.is_worker_shutdown():
            self.moved_at = time.monotonic()
            if time.monotonic() >= catch_up_at:
                await self._catch_up()
                catch_up_at = time.monotonic() + self._catch_up_every_s
            batch = await source.next(wait_s=_LOOK_AROUND_EVERY_S)
            await self._books.take(by_order(batch))

    # --- at the start ---------------------------------------------------------------------------

    async def _begin(self) -> None:
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
        ended = await self._store.ended_children_of_open_orders(self._venue, self._account)
        await self._books.tell_again(ended)

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

    def _is_history(self, trade: VenueTrade) -> bool:
        """A foreign trade from before the opening balances, of a symbol read from its start."""
        opened_at = self._opened_at
        if trade.symbol in self.cursor or opened_at is None:
            return False
        return trade.fill.traded_at_ms < epoch_ms(opened_at)

    # --- catch-up -------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Book every trade since the cursor, look after silent orders, then declare readiness."""
        if is_behind(await self._store.load_cursors(self._venue, self._account), self._saved):
            raise LedgerRestoredError("the ledger's cursor went back: the next turn begins anew")
        silent = await self._working(MISSED_AFTER)
        for symbol in await self._all_symbols():
            await self._catch_up_symbol(symbol)
        await self._look_after(silent)
        await self._save_cursor(READINGS, str(int(self.cursor.get(READINGS, 0)) + 1))
        unnamed = self._books.unnamed()
        reason = f"{len(unnamed)} trades without a readable order" if unnamed else "caught up"
        await self._store.set_readiness(
            self._venue, self._account, not unnamed, in_seconds(READY_FOR), reason
        )
        self.has_caught_up = True

    async def _all_symbols(self) -> list[str]:
        traded = await self._store.symbols_with_intents(self._venue, self._account)
        return sorted({*self._symbols, *traded})

    async def _catch_up_symbol(self, symbol: str) -> None:
        """Take every trade since the cursor; it stays before the first that has no name yet."""
        cursor = self.cursor.get(symbol)
        look_back = self._look_back.setdefault(symbol, LookBack(cursor))
        trades = await self._gateway.trades_after(symbol, look_back.start or None)
        unnamed: set[TradeKey] = set()
        for first in range(0, len(trades), MAX_BATCH):
            unnamed |= await self._take_trades(trades[first : first + MAX_BATCH])
        waits = {trade.cursor for trade in trades if key_of(trade) in unnamed}
        for trade in takewhile(lambda trade: trade.cursor not in waits, trades):
            if _is_ahead(trade.cursor, cursor):
                cursor = trade.cursor
        if cursor is not None:
            fp("fill.before_cursor", *{trade.venue_order_id for trade in trades})
            await self._save_cursor(symbol, cursor)
        if not unnamed:
            look_back.passed(cursor)

    async def _take_trades(self, trades: Sequence[VenueTrade]) -> set[TradeKey]:
        self.moved_at = time.monotonic()
        return await self._books.take(by_order(StreamTrade(trade=trade) for trade in trades))

    async def _save_cursor(self, symbol: str, cursor: str) -> None:
        """The ledger's cursor moves first: Temporal's is never ahead of it."""
        if self._saved.get(symbol) != cursor:
            await self._store.save_cursor(self._venue, self._account, symbol, cursor)
            self._saved[symbol] = self.cursor[symbol] = cursor

    # --- orders whose events were missed --------------------------------------------------------

    async def _working(self, untouched_for: timedelta) -> dict[str, StoredChild]:
        """What the ledger holds open at the venue, by our id."""
        found = await self._store.working_children(
            self._venue, self._account, older_than_s=in_seconds(untouched_for)
        )
        return {child.intent.client_order_id: child for child in found}

    async def _look_after(self, silent: dict[str, StoredChild]) -> None:
        """Read those that the venue has ended, or of which it has executed more than we know."""
        if not silent:
            return
        working = await self._working(timedelta(0))
        now = [child for name, child in working.items() if name in silent]
        executed = await self._executed_of_open_orders({child.intent.symbol for child in now})
        for child in now:
            if child.venue_order_id is None:
                continue
            known = executed.get((child.intent.symbol, child.venue_order_id))
            if known is not None and known <= child.filled_quantity:
                continue
            self.moved_at = time.monotonic()
            with suppress(OrderAbsentError):
                order = await self._gateway.read_order(child.intent.symbol, child.venue_order_id)
                await self._books.take_read(child, order.report)

    async def _executed_of_open_orders(self, symbols: set[str]) -> dict[tuple[str, str], Decimal]:
        """Base units executed of each resting order, by symbol and the venue's order id."""
        return {
            (symbol, order.report.venue_order_id): order.report.executed_quantity
            for symbol in sorted(symbols)
            for order in await self._gateway.open_orders(symbol)
        }


def is_behind(ledgers: Mapping[str, str], seen: Mapping[str, str]) -> bool:
    """True if the ledger's cursor of any symbol is before one that was seen there already."""
    return any(_is_before(ledgers.get(symbol), cursor) for symbol, cursor in seen.items())


def _is_before(cursor: str | None, seen: str) -> bool:
    if not cursor:
        return bool(seen)
    return cursor.isdecimal() and seen.isdecimal() and int(cursor) < int(seen)


def _is_ahead(cursor: str, of: str | None) -> bool:
    return not of or int(cursor) > int(of)
