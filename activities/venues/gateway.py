"""The one seam to a venue: few methods, and errors grouped by what the caller must do.

    VenueError
      VenueRejectedError     the venue said no, by an allow-listed error: nothing is live
        VenueClockError      refused for its timestamp: resync the clock, then a new attempt
      OutcomeUnknownError    anything else after a submission: it may be live, so resolve it
      VenueUnavailableError  a read or a cancel failed: safe to repeat
      OrderAbsentError       the venue does not know the order now (no proof by itself)
      SymbolUnknownError     the venue does not list the symbol: the request is bad

A gateway sends each request once: no retries here, nor in the HTTP client. Numbers cross as
text. It must not know workflows, the ledger or Temporal.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from workflows.domain.books import Book
from workflows.domain.fees import Fees
from workflows.domain.instruments import Instrument, Quote
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.prices import Candle, PublicTrade
from workflows.domain.reports import ExecutionReport, Fill, RejectionFamily
from workflows.domain.triggers import Tick


class VenueError(Exception):
    """Base of everything that a gateway raises; `str()` is safe to store (no secrets)."""


class VenueRejectedError(VenueError):
    """Definite rejection; `code` is the venue's own code, or the ccxt class name."""

    def __init__(self, message: str, *, code: str, family: RejectionFamily) -> None:
        super().__init__(message)
        self.code = code
        self.family = family


class VenueClockError(VenueRejectedError):
    """Refused before matching because of the timestamp; the clock offset was refreshed."""


class OutcomeUnknownError(VenueError):
    """The request may have been executed."""


class VenueUnavailableError(VenueError):
    """A read or cancel did not get a usable answer. `retry_after_s` if the venue named one."""

    def __init__(self, message: str, *, retry_after_s: Decimal | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OrderAbsentError(VenueError):
    """The venue answered that it does not know this order."""


class SymbolUnknownError(VenueError):
    """The venue does not list this symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrade:
    """One trade of the account, with the venue's order id (trade lists carry no client id)."""

    symbol: str
    venue_order_id: str
    side: Side
    fill: Fill
    cursor: str
    """Where the account's list of trades is read on from, once this trade is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """One order of the account: ours, or one that somebody made by hand."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    report: ExecutionReport


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTrade:
    """A push from the private stream: a hint that this order of this symbol traded."""

    trade: VenueTrade


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOrder:
    """A push from the private stream: a hint that this order changed (fills may be missing)."""

    order: VenueOrder


StreamEvent = StreamTrade | StreamOrder


class VenueGateway(Protocol):
    """What the engine needs of a venue account. `venue` and `account` name it."""

    venue: str
    account: str
    cancel_on_disconnect_s: int | None
    """How long the venue's timer runs before it cancels every order; None: it is not to be set."""

    async def instrument(self, symbol: str) -> Instrument:
        """Trading rules, cached for at most 30 min. SymbolUnknownError, VenueUnavailableError."""
        ...

    async def instruments(self) -> list[Instrument]:
        """Trading rules of every spot symbol, read at most a minute ago. VenueUnavailableError."""
        ...

    async def quote(self, symbol: str) -> Quote:
        """The touch. VenueUnavailableError; also for an empty or crossed book."""
        ...

    async def book(self, symbol: str, depth: int) -> Book:
        """The best `depth` levels of each side, fewer where the venue has no more.

        VenueUnavailableError; also for an empty or crossed book.
        """
        ...

    async def fees(self, symbol: str) -> Fees:
        """What the account pays in this symbol, cached for at most 30 min.

        SymbolUnknownError, VenueUnavailableError.
        """
        ...

    async def venue_time_ms(self) -> int:
        """The venue's clock, read now. VenueUnavailableError."""
        ...

    async def clock_offset_ms(self) -> int:
        """Venue clock minus this machine's, sampled at most 30 s ago. VenueUnavailableError."""
        ...

    async def submit(self, intent: ChildIntent, *, signed_at_ms: int) -> ExecutionReport:
        """Send one order, once, signed with exactly this timestamp (the venue's clock).

        Raises VenueRejectedError / VenueClockError or OutcomeUnknownError; anything that is not
        an allow-listed rejection is OutcomeUnknownError, cancellation excepted.
        """
        ...

    async def find(
        self, symbol: str, client_order_id: str, *, since_ms: int, is_list: bool = False
    ) -> ExecutionReport:
        """Look an order up by our id, in every place where the venue could keep it.

        `is_list`: it is a one-cancels-the-other, which the venue keeps elsewhere. With its fills.
        OrderAbsentError or VenueUnavailableError.
        """
        ...

    async def read_order(self, symbol: str, venue_order_id: str) -> VenueOrder:
        """One order by the venue's id, with its fills. OrderAbsentError, VenueUnavailableError."""
        ...

    async def cancel(self, symbol: str, venue_order_id: str) -> None:
        """Ask for a cancel; a request, not a fact. Success says nothing about fills.

        OrderAbsentError (it may have worked before, or be filled), VenueUnavailableError.
        """
        ...

    async def cancel_all_after(self, seconds: int) -> None:
        """Have the venue cancel every order of the account after so long, unless asked again.

        Only where the venue has such a timer. VenueUnavailableError.
        """
        ...

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        """Every resting order of the account in this symbol. VenueUnavailableError."""
        ...

    async def trades_after(self, symbol: str, cursor: str | None) -> list[VenueTrade]:
        """The account's trades from a cursor on, oldest first, all pages; None: from the first.

        A cursor is the `cursor` of a trade or what `last_trade_id` gave; trades of the cursor's
        own millisecond may come again.

        VenueUnavailableError.
        """
        ...

    async def last_trade_id(self, symbol: str) -> str | None:
        """The cursor behind the account's newest trade, or None. VenueUnavailableError."""
        ...

    async def balances(self) -> dict[str, Decimal]:
        """Total (free plus locked) by asset, zero balances left out. VenueUnavailableError."""
        ...

    async def free_balances(self) -> dict[str, Decimal]:
        """What no order has locked, by asset, zeros left out. VenueUnavailableError."""
        ...

    async def tick(self, symbol: str) -> Tick:
        """Best bid, best ask and the last trade's price, asked now; mark and index where told.

        VenueUnavailableError, SymbolUnknownError.
        """
        ...

    async def public_trades(self, symbol: str, since_ms: int) -> list[PublicTrade] | None:
        """Every trade of the market since then, oldest first, all pages.

        None when they are not to be had: too many, or older than the venue tells.
        VenueUnavailableError.
        """
        ...

    async def candles(self, symbol: str, since_ms: int, until_ms: int) -> list[Candle]:
        """Candles of the venue's shortest length that touch the span, oldest first, all pages.

        VenueUnavailableError.
        """
        ...

    def prices(self, symbol: str) -> AbstractAsyncContextManager[AsyncIterator[Tick]]:
        """The public stream of a symbol, live when entered; it has no replay.

        Each tick holds what changed: bid and ask of a new touch, or `last` of a trade, in the
        order in which the venue told them. The iterator raises VenueUnavailableError when the
        connection is lost or the reader is too slow.
        """
        ...

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[StreamEvent]]:
        """The private stream, subscribed when entered; it has no replay.

        The iterator raises VenueUnavailableError when the connection is lost.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
