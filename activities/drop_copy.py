"""A second, independent look at one account: its trades read by itself, and what they come to.

Theory of operation. It keeps its own cursor and counts for itself, from the account's first trade
on; of the ledger it reads fills, positions and what is no trade (opening balances, transfers), and
writes nothing but breaks. Trades and fills cancel each other as they come in, so it remembers only
what one side alone has told. Both sides are read with an overlap: a venue lists a trade late, a
transaction commits after one with a higher number. A ledger that was restored is read anew.

It must not know the feed, nor share its cursor: then both would miss the same trade.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar

from activities.ledger.sync_reader import BooksNow, NumberedFill, SyncReader
from activities.ledger.sync_store import Observer, SyncStore
from activities.trade_facts import facts_of
from activities.venues.gateway import VenueGateway
from workflows.domain.reconciliation import (
    Difference,
    DifferenceKind,
    Rebuilt,
    TradeFacts,
    TradeKey,
    Unmatched,
    added,
    compare_balances,
    compare_positions,
    worth_of,
)
from workflows.durations import epoch_ms

IN_FLIGHT_MS = 10_000
"""Younger trades may only be on their way into the ledger, or into the venue's list."""
OVERLAP_MS = 60_000
"""What is younger is read again: more may come in among it."""
_OPENING_MS = 60_000
"""How long before the opening a trade may lie that the opening balances do not contain."""
_FILLS = (DifferenceKind.MISSING_FILL, DifferenceKind.UNKNOWN_FILL, DifferenceKind.FILL_FIGURES)

Key = TypeVar("Key")


class Overlap(Generic[Key]):
    """Where a numbered list is read on from, a while behind its end; and what is known behind it.

    Numbers grow with time. Times in ms, all by one clock.
    """

    def __init__(self) -> None:
        self.start: int | None = None
        self._start_ms = 0
        self._known: dict[Key, int] = {}

    def is_new(self, key: Key, number: int, at_ms: int, now_ms: int) -> bool:
        """True once for each entry. Call it for all that was read, then `forget`."""
        if at_ms < now_ms - OVERLAP_MS and (self.start is None or number > self.start):
            self.start, self._start_ms = number, at_ms
        is_new = key not in self._known
        self._known[key] = at_ms
        return is_new

    def forget(self) -> None:
        """Drop what will not be read again."""
        self._known = {key: at for key, at in self._known.items() if at >= self._start_ms}


class DropCopy:
    """Compares one account, look by look. `follow`: symbols that are read in any case."""

    def __init__(
        self,
        gateway: VenueGateway,
        reader: SyncReader,
        store: SyncStore,
        follow: tuple[str, ...],
    ) -> None:
        self._gateway, self._reader, self._store = gateway, reader, store
        self.venue, self.account = gateway.venue, gateway.account
        self._follow = follow
        self._epoch = ""
        self._opened_ms = 0
        self._beginnings = 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._beginnings += 1
        self._unmatched = Unmatched()
        self._rebuilt = Rebuilt()
        self._early: dict[TradeKey, TradeFacts] = {}
        self._fills: Overlap[int] = Overlap()
        self._newest_fill = 0
        self._trades: dict[str, Overlap[TradeKey]] = {}

    async def look(self) -> None:
        """Read both sides and say what differs. Raises what venue and ledger raise."""
        opened_at: datetime | None = await self._reader.opened_at(self.venue, self.account)
        if opened_at is None:
            return
        self._opened_ms = epoch_ms(opened_at)
        books = await self._read_ledger()
        beginning = self._beginnings
        symbols = sorted({*self._follow, *books.positions})
        await self._read_venue(symbols)
        beside = await self._reader.opening_and_transfers(self.venue, self.account)
        held = await self._gateway.balances()
        has_traded = await self._read_venue(symbols)
        moved_beside = beside != await self._reader.opening_and_transfers(self.venue, self.account)
        books = await self._read_ledger()
        if self._beginnings != beginning:
            return
        is_quiet = not (has_traded or moved_beside)
        await self._tell(books, added(beside, self._rebuilt.moved) if is_quiet else None, held)

    # --- reading ---

    async def _read_ledger(self) -> BooksNow:
        """All fills to the end, and the positions of that moment."""
        after = self._fills.start or 0
        while True:
            books = await self._reader.books_now(self.venue, self.account, after)
            if self._epoch not in ("", books.epoch) or books.newest_fill < self._newest_fill:
                self._begin_anew()  # it was restored: nothing that was seen need be there
                self._epoch, after = books.epoch, 0
                continue
            self._epoch = books.epoch
            for entry in books.page.fills:
                after = entry.number
                self._take_fill(entry, books.at_ms)
            self._newest_fill = max(self._newest_fill, after)
            self._fills.forget()
            if books.page.is_whole:
                return books

    def _take_fill(self, entry: NumberedFill, now_ms: int) -> None:
        if not self._fills.is_new(entry.number, entry.number, entry.booked_at_ms, now_ms):
            return
        early = self._early.pop(entry.facts.key, None)
        if early is not None:  # not in the opening balances, then
            self._rebuilt.add(early)
            self._unmatched.theirs_told(early)
        self._unmatched.ours_told(entry.facts)

    async def _read_venue(self, symbols: Iterable[str]) -> bool:
        """True if any trade was new."""
        has_new = False
        now_ms = await self._gateway.venue_time_ms()
        for symbol in symbols:
            reading = self._trades.setdefault(symbol, Overlap())
            start = None if reading.start is None else str(reading.start)
            for trade in await self._gateway.trades_after(symbol, start):
                facts, number = facts_of(trade), int(trade.cursor)
                if reading.is_new(facts.key, number, facts.traded_at_ms, now_ms):
                    has_new = True
                    self._take_trade(facts)
            reading.forget()
        return has_new

    def _take_trade(self, trade: TradeFacts) -> None:
        """Count it, unless it is from before the opening balances and not in the ledger."""
        if trade.traded_at_ms < self._opened_ms and trade.key not in self._unmatched.ours:
            if trade.traded_at_ms >= self._opened_ms - _OPENING_MS:
                self._early[trade.key] = trade
            return
        self._rebuilt.add(trade)
        self._unmatched.theirs_told(trade)

    # --- telling ---

    async def _tell(
        self, books: BooksNow, expected: dict[str, Decimal] | None, held: dict[str, Decimal]
    ) -> None:
        worth = worth_of(await self._reader.marks(self.venue))
        before_ms = await self._gateway.venue_time_ms() - IN_FLIGHT_MS
        found: list[Difference] = self._unmatched.differences(before_ms=before_ms)
        looked_at = list(_FILLS)
        if expected is not None:
            looked_at.append(DifferenceKind.BALANCE)
            found += compare_balances(expected, held, worth)
        if self._unmatched.is_even:
            looked_at.append(DifferenceKind.POSITION)
            found += compare_positions(books.positions, self._rebuilt.positions, worth)
        await self._store.observe(
            Observer.DROP_COPY, self.venue, self.account, found, looked_at=looked_at
        )
