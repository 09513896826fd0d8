"""The venue gateway over ccxt: real exchanges, and the paper exchange behind the same classes.

Each method is one request, sent once; a look-up is as many as the venue has places where an order
could be, with fills one more, and a list as many as it has pages.
Prices and quantities are checked against the venue's grid and never moved. What differs between
venues is in the dialect table, what errors mean in `ccxt_errors`. It must not know workflows,
the ledger or Temporal.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import ccxt

from activities.venues import ccxt_reports as reports
from activities.venues.ccxt_client import PrivateStreamClient
from activities.venues.ccxt_fields import UnreadableAnswerError
from activities.venues.ccxt_link import CcxtLink, VenueConfig
from activities.venues.ccxt_native import instrument_of
from activities.venues.ccxt_prices import PublicPrices
from activities.venues.ccxt_session import GuardedSession, LazySession
from activities.venues.ccxt_stream import private_stream
from activities.venues.ccxt_submit import Submission
from activities.venues.ccxt_trades import newest_cursor, trades_since
from activities.venues.dialects import TradesByTime, dialect_of
from activities.venues.gateway import (
    StreamEvent,
    StreamOrder,
    StreamTrade,
    VenueGateway,
    VenueOrder,
    VenueTrade,
    VenueUnavailableError,
)
from activities.venues.refreshed import Refreshed
from activities.venues.rewriting_session import RewritingSession
from workflows.domain.books import Book
from workflows.domain.fees import Fees
from workflows.domain.instruments import Instrument, Quote
from workflows.domain.orders import ChildIntent
from workflows.domain.prices import Candle, PublicTrade
from workflows.domain.reports import ExecutionReport, Fill
from workflows.domain.triggers import Tick

__all__ = ["CcxtGateway", "VenueConfig", "open_gateway"]

TOUCH_LEVELS = 5
FEES_MAX_AGE_S = 30 * 60
LISTED_MAX_AGE_S = 60


class CcxtGateway(VenueGateway):
    """One account at one venue. Build it with `open_gateway`, release it with `close`."""

    def __init__(self, link: CcxtLink) -> None:
        self.venue = link.config.venue
        self.account = link.config.account
        self.cancel_on_disconnect_s = link.config.cancel_on_disconnect_s
        self._link = link
        self._client = link.client
        self._dialect = link.dialect
        self._submission = Submission(link)
        self._prices = PublicPrices(link)
        self._fees: dict[str, Refreshed[Fees]] = {}

    async def instrument(self, symbol: str) -> Instrument:
        """See VenueGateway."""
        market = await self._link.market(symbol, fresh=True)
        try:
            return instrument_of(self.venue, market, self._dialect)
        except UnreadableAnswerError as error:
            raise VenueUnavailableError(f"rules of {symbol}: {error}") from error

    async def instruments(self) -> list[Instrument]:
        """See VenueGateway. A symbol whose rules cannot be read is left out."""
        found: list[Instrument] = []
        for market in await self._link.spot_markets(max_age_s=LISTED_MAX_AGE_S):
            with suppress(UnreadableAnswerError):
                found.append(instrument_of(self.venue, market, self._dialect))
        return found

    async def quote(self, symbol: str) -> Quote:
        """See VenueGateway. `read_at_ms` is this machine's clock."""
        book = await self.book(symbol, TOUCH_LEVELS)
        bid, ask = book.bids[0].price, book.asks[0].price
        return Quote(bid=bid, ask=ask, read_at_ms=book.read_at_ms)

    async def book(self, symbol: str, depth: int) -> Book:
        """See VenueGateway. `read_at_ms` is this machine's clock."""
        return await self._prices.book(symbol, depth)

    async def fees(self, symbol: str) -> Fees:
        """See VenueGateway. The account's own rates, not the venue's list."""
        await self._link.market(symbol)
        if symbol not in self._fees:
            self._fees[symbol] = Refreshed(lambda: self._ask_fees(symbol), max_age_s=FEES_MAX_AGE_S)
        return await self._fees[symbol].get()

    async def venue_time_ms(self) -> int:
        """See VenueGateway."""
        return await self._link.venue_time_ms()

    async def clock_offset_ms(self) -> int:
        """See VenueGateway."""
        return await self._link.clock_offset_ms()

    async def submit(self, intent: ChildIntent, *, signed_at_ms: int) -> ExecutionReport:
        """See VenueGateway. Off the venue's grid: VenueRejectedError PRECISION, nothing sent."""
        return await self._submission.send(intent, signed_at_ms)

    async def find(
        self, symbol: str, client_order_id: str, *, since_ms: int, is_list: bool = False
    ) -> ExecutionReport:
        """See VenueGateway."""
        rendered = self._dialect.render_id(client_order_id)
        look_up = self._look_up_list if is_list else self._dialect.look_up

        async def ask() -> Any:
            return await look_up(self._client, symbol, rendered, since_ms)

        order = await self._order_with_fills(symbol, ask)
        if order.report.client_order_id != client_order_id:
            raise VenueUnavailableError("the venue answered with another order")
        return order.report

    async def read_order(self, symbol: str, venue_order_id: str) -> VenueOrder:
        """See VenueGateway."""

        async def ask() -> Any:
            return await self._dialect.read_order(self._client, symbol, venue_order_id)

        order = await self._order_with_fills(symbol, ask)
        if order.report.venue_order_id != venue_order_id:
            raise VenueUnavailableError("the venue answered with another order")
        return order

    async def cancel(self, symbol: str, venue_order_id: str) -> None:
        """See VenueGateway."""

        async def ask() -> None:
            await self._dialect.cancel(self._client, symbol, venue_order_id)

        await self._link.market(symbol)
        await self._link.ask_signed(ask, is_of_order=True)

    async def cancel_all_after(self, seconds: int) -> None:
        """See VenueGateway."""
        set_timer = self._dialect.cancel_all_after
        assert set_timer is not None, "a timer is configured only where the venue has one"

        async def ask() -> None:
            if not await set_timer(self._client, seconds):
                raise UnreadableAnswerError("a timer that tells no end")

        await self._link.ask_signed(ask)

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        """See VenueGateway."""

        async def ask() -> list[VenueOrder]:
            orders = await self._dialect.open_orders(self._client, symbol)
            return [self._asked_order(order, symbol) for order in orders]

        await self._link.market(symbol)
        return await self._link.ask_signed(ask)

    async def trades_after(self, symbol: str, cursor: str | None) -> list[VenueTrade]:
        """See VenueGateway."""
        return await trades_since(self._link, symbol, cursor)

    async def last_trade_id(self, symbol: str) -> str | None:
        """See VenueGateway."""
        return await newest_cursor(self._link, symbol)

    async def balances(self) -> dict[str, Decimal]:
        """See VenueGateway."""

        return await self._ask_balances(reports.balances)

    async def free_balances(self) -> dict[str, Decimal]:
        """See VenueGateway."""
        return await self._ask_balances(reports.free_balances)

    async def tick(self, symbol: str) -> Tick:
        """See VenueGateway."""
        return await self._prices.tick(symbol)

    async def public_trades(self, symbol: str, since_ms: int) -> list[PublicTrade] | None:
        """See VenueGateway."""
        return await self._prices.public_trades(symbol, since_ms)

    async def candles(self, symbol: str, since_ms: int, until_ms: int) -> list[Candle]:
        """See VenueGateway."""
        return await self._prices.candles(symbol, since_ms, until_ms)

    def prices(self, symbol: str) -> AbstractAsyncContextManager[AsyncIterator[Tick]]:
        """See VenueGateway. Without a stream of the venue's the ticker is asked every second."""
        return self._prices.stream(symbol)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        """See VenueGateway. Without topics it is silent, and the account is polled."""
        if not self._dialect.stream_topics:
            yield _silence()
            return
        client = await self._link.stream_client(PrivateStreamClient)
        join = self._dialect.join_pushed_orders()
        async with private_stream(
            client,
            self._dialect,
            self._link.redactor,
            parse_order=lambda order: self._stream_order(join(order)),
            parse_trade=self._stream_trade,
            open_deadline_s=float(self._link.config.http_deadline_s),
        ) as events:
            yield events

    async def close(self) -> None:
        """See VenueGateway. Streams are closed by whoever entered them."""
        for fees in self._fees.values():
            await fees.aclose()
        await self._link.close()

    # The account

    async def _ask_fees(self, symbol: str) -> Fees:
        async def ask() -> Fees:
            told = await self._dialect.fees(self._client, symbol)
            return reports.fees(told, buys_pay_base=self._dialect.buys_pay_base)

        return await self._link.ask_signed(ask)

    async def _ask_balances(self, read: Callable[[Any], dict[str, Decimal]]) -> dict[str, Decimal]:
        async def ask() -> dict[str, Decimal]:
            return read(await self._client.fetch_balance())

        await self._link.need_markets()
        return await self._link.ask_signed(ask, expected=self._dialect.is_balances)

    # Orders and trades

    async def _look_up_list(self, client: Any, symbol: str, rendered: str, since_ms: int) -> Any:
        native = self._dialect.native
        if native is None:  # no such order can ever have been sent
            raise ccxt.OrderNotFound(f"{self.venue} is not spoken to in lists of orders")
        return await native.look_up_list(client, symbol, rendered, since_ms)

    def _venue_order(self, order: Any, symbol: str, fills: tuple[Fill, ...] = ()) -> VenueOrder:
        ours = self._dialect.parse_id(reports.client_id_text(order))
        return reports.venue_order(order, symbol, ours, fills)

    def _asked_order(self, order: Any, symbol: str) -> VenueOrder:
        dialect = self._dialect
        reports.require_told(order, dialect.order_fields, dialect.order_blank_fields)
        return self._venue_order(dialect.amend_order(order), symbol)

    async def _order_with_fills(
        self, symbol: str, fetch: Callable[[], Awaitable[Any]]
    ) -> VenueOrder:
        async def ask() -> tuple[Any, VenueOrder]:
            raw = await fetch()
            return raw, self._asked_order(raw, symbol)

        await self._link.market(symbol)
        raw, order = await self._link.ask_signed(ask, is_of_order=True)
        if order.report.executed_quantity == 0:
            return order
        trades = await self._order_trades(symbol, raw)
        if any(trade.venue_order_id != order.report.venue_order_id for trade in trades):
            raise VenueUnavailableError("the venue answered with trades of another order")
        return replace(order, report=replace(order.report, fills=_distinct_fills(trades)))

    async def _order_trades(self, symbol: str, order: Any) -> list[VenueTrade]:
        fee_asset = str((await self._link.market(symbol))["quote"])

        async def ask() -> list[VenueTrade]:
            trades = await self._dialect.order_trades(self._client, symbol, order)
            return [
                reports.venue_trade(self._dialect.amend_trade(trade), symbol, fee_asset)
                for trade in trades
            ]

        return await self._link.ask_signed(ask)

    def _stream_order(self, order: Any) -> StreamEvent:
        return StreamOrder(order=self._venue_order(order, reports.symbol(order)))

    def _stream_trade(self, trade: Any) -> StreamEvent | None:
        amended = self._dialect.amend_pushed_trade(trade)
        if amended is None:
            return None
        symbol = reports.symbol(amended)
        is_read_by_time = isinstance(self._dialect.trades, TradesByTime)
        fee_asset = symbol.partition("/")[2]
        return StreamTrade(
            trade=reports.venue_trade(amended, symbol, fee_asset, is_read_by_time=is_read_by_time)
        )


def _distinct_fills(trades: list[VenueTrade]) -> tuple[Fill, ...]:
    return tuple({trade.fill.trade_id: trade.fill for trade in trades}.values())


async def _silence() -> AsyncIterator[StreamEvent]:
    """A stream on which nothing ever comes."""
    never: asyncio.Queue[StreamEvent] = asyncio.Queue()
    while True:
        yield await never.get()


def open_gateway(config: VenueConfig) -> CcxtGateway:
    """A gateway for `config`; nothing is sent yet. ValueError for what cannot be configured."""
    dialect = dialect_of(config.venue)
    if config.sandbox and config.paper_url is None and not dialect.sandbox_hosts:
        raise ValueError(f"venue {config.venue} has no sandbox")
    if dialect.needs_passphrase and not config.passphrase:
        raise ValueError(f"venue {config.venue} needs a passphrase")
    if config.cancel_on_disconnect_s is not None and dialect.cancel_all_after is None:
        raise ValueError(f"venue {config.venue} has no timer that cancels orders")
    if config.paper_url is not None:
        if config.sandbox:
            raise ValueError("paper_url and sandbox exclude each other")
        paper = RewritingSession(dict.fromkeys(dialect.hosts, config.paper_url))
        return CcxtGateway(CcxtLink(config, dialect, GuardedSession(paper, dialect.hosts)))
    hosts = dialect.sandbox_hosts if config.sandbox else dialect.hosts
    return CcxtGateway(CcxtLink(config, dialect, GuardedSession(LazySession(), hosts)))
