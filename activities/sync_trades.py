"""Comparing the trades of an account with its fills, and booking what was missed.

Rule: what the venue's own list names is booked, through the same door as the feed's news, and so
once; nothing else is. The feed goes forward from its cursor; this looks back from now, over a
whole hour and over every outage that the cursor tells of.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from activities.feed_batches import MAX_BATCH
from activities.feed_booking import FeedBooks
from activities.feed_news import by_order
from activities.ledger.sync_reader import SyncReader
from activities.trade_facts import facts_of
from activities.venues.dialects import TradesByNumber, dialect_of
from activities.venues.gateway import StreamTrade, VenueGateway, VenueTrade
from workflows.domain.reconciliation import (
    Difference,
    TradeFacts,
    TradeKey,
    Unmatched,
)
from workflows.durations import epoch_ms, in_seconds

LOOK_BACK = timedelta(minutes=60)
IN_FLIGHT = timedelta(seconds=5)
"""Younger trades and orders may only be on their way."""
_IDS_AT_ONCE = 5_000
Histories = dict[tuple[str, str, str], str]
"""By venue, account and symbol: the cursor of the newest trade before the opening balances."""
_MS = timedelta(milliseconds=1)


class TradeLook:
    """One look at the trades of an account. `booked` are those that it found missing and booked.

    `differences` are what stays, by symbol.
    """

    def __init__(
        self,
        gateway: VenueGateway,
        reader: SyncReader,
        books: FeedBooks,
        opened_at: datetime,
        histories: Histories,
    ) -> None:
        self._histories = histories
        self._gateway, self._reader, self._books = gateway, reader, books
        self._venue, self._account = gateway.venue, gateway.account
        self._opened_ms = epoch_ms(opened_at)
        self._seen: set[TradeKey] = set()
        self.booked: dict[TradeKey, TradeFacts] = {}
        self.differences: dict[str, list[Difference]] = {}

    async def catch_up(self, symbols: Sequence[str], cursors: dict[str, str]) -> bool:
        """Compare these symbols, book what is missing; True if any trade was new to this look."""
        now_ms = await self._gateway.venue_time_ms()
        before = len(self._seen)
        for symbol in symbols:
            start = await self._start(symbol, cursors.get(symbol), now_ms)
            self.differences[symbol] = await self._catch_up_symbol(symbol, start, now_ms)
        return len(self._seen) > before

    async def _catch_up_symbol(
        self, symbol: str, start: str | None, now_ms: int
    ) -> list[Difference]:
        # ours first: what is booked by then, the venue has listed by then
        ours = await self._reader.fills_of(
            self._venue, self._account, symbol, in_seconds(LOOK_BACK)
        )
        trades = {
            facts_of(trade).key: trade for trade in await self._gateway.trades_after(symbol, start)
        }
        if start is None:
            self._remember_history(symbol, trades.values())
        booked = await self._booked(symbol, list(trades))
        missing = [
            trade
            for key, trade in trades.items()
            if key not in booked and not self._is_history(trade)
        ]
        for first in range(0, len(missing), MAX_BATCH):
            batch = missing[first : first + MAX_BATCH]
            await self._books.take(by_order(StreamTrade(trade=trade) for trade in batch))
        fresh = await self._booked(symbol, [facts_of(trade).key for trade in missing])
        self.booked |= {key: each for key, each in fresh.items() if self._is_old(each, now_ms)}
        self._seen |= trades.keys()
        both = Unmatched()
        for each in ({each.key: each for each in ours} | booked | fresh).values():
            both.ours_told(each)
        for key, trade in trades.items():
            if key in booked or key in fresh or not self._is_history(trade):
                both.theirs_told(facts_of(trade))
        return both.differences(before_ms=now_ms - IN_FLIGHT // _MS)

    async def _booked(self, symbol: str, keys: Sequence[TradeKey]) -> dict[TradeKey, TradeFacts]:
        found: dict[TradeKey, TradeFacts] = {}
        for first in range(0, len(keys), _IDS_AT_ONCE):
            ids = [key.trade_id for key in keys[first : first + _IDS_AT_ONCE]]
            found |= await self._reader.booked(self._venue, self._account, symbol, ids)
        wanted = set(keys)
        return {key: each for key, each in found.items() if key in wanted}

    def _is_history(self, trade: VenueTrade) -> bool:
        """From before the opening balances, which contain it."""
        return trade.fill.traded_at_ms < self._opened_ms

    @staticmethod
    def _is_old(trade: TradeFacts, now_ms: int) -> bool:
        return trade.traded_at_ms < now_ms - IN_FLIGHT // _MS

    async def _start(self, symbol: str, cursor: str | None, now_ms: int) -> str | None:
        """Where the look begins: an hour ago, or at the feed's cursor if that is older."""
        listing = dialect_of(self._venue).trades
        if not isinstance(listing, TradesByNumber):
            hour_ago_ms = now_ms - LOOK_BACK // _MS
            return str(min(hour_ago_ms, int(cursor))) if cursor else None
        place = await self._reader.look_back_place(
            self._venue, self._account, symbol, in_seconds(LOOK_BACK)
        )
        if place.before is None and place.first is not None:
            # its first hour: behind the history, where a trade may yet be listed late
            return self._histories.get((self._venue, self._account, symbol))
        numbers = [listing.number(each) for each in (place.before, cursor) if each]
        return str(min(numbers)) if numbers else None

    def _remember_history(self, symbol: str, trades: Iterable[VenueTrade]) -> None:
        """Where what the opening balances contain ends; it is read through only once."""
        ends = [int(trade.cursor) for trade in trades if self._is_history(trade)]
        if ends:
            self._histories[self._venue, self._account, symbol] = str(max(ends))
