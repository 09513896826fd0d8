"""The venue gateway over ccxt: real exchanges, and the paper exchange behind the same classes.

Each method is one request, sent once; a look-up is as many as the venue has places where an order
could be, with fills one more, and a list as many as it has pages.
Prices and quantities are checked against the venue's grid and never moved. What differs between
venues is in the dialect table, what errors mean in `ccxt_errors`. It must not know workflows,
the ledger or Temporal.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import ccxt

from activities.venues import ccxt_reports as reports
from activities.venues.ccxt_call import venue_call
from activities.venues.ccxt_errors import submission_error
from activities.venues.ccxt_link import CcxtLink, VenueConfig
from activities.venues.ccxt_session import GuardedSession, LazySession
from activities.venues.ccxt_stream import private_stream
from activities.venues.ccxt_trades import newest_cursor, trades_since
from activities.venues.dialects import TradesByTime, dialect_of
from activities.venues.gateway import (
    OutcomeUnknownError,
    StreamEvent,
    StreamOrder,
    StreamTrade,
    VenueClockError,
    VenueGateway,
    VenueOrder,
    VenueRejectedError,
    VenueTrade,
    VenueUnavailableError,
)
from activities.venues.refreshed import Refreshed
from activities.venues.rewriting_session import RewritingSession
from workflows.domain.books import Book
from workflows.domain.fees import Fees
from workflows.domain.instruments import Instrument, Quote
from workflows.domain.orders import ChildIntent, ChildType, Side
from workflows.domain.reports import ExecutionReport, Fill, RejectionFamily

__all__ = ["CcxtGateway", "VenueConfig", "open_gateway"]

TOUCH_LEVELS = 5
FEES_MAX_AGE_S = 30 * 60


class CcxtGateway(VenueGateway):
    """One account at one venue. Build it with `open_gateway`, release it with `close`."""

    def __init__(self, link: CcxtLink) -> None:
        self.venue = link.config.venue
        self.account = link.config.account
        self._link = link
        self._client = link.client
        self._dialect = link.dialect
        self._fees: dict[str, Refreshed[Fees]] = {}

    async def instrument(self, symbol: str) -> Instrument:
        """See VenueGateway."""
        market = await self._link.market(symbol, fresh=True)
        try:
            return reports.instrument(self.venue, market)
        except reports.UnreadableAnswerError as error:
            raise VenueUnavailableError(f"rules of {symbol}: {error}") from error

    async def quote(self, symbol: str) -> Quote:
        """See VenueGateway. `read_at_ms` is this machine's clock."""
        book = await self.book(symbol, TOUCH_LEVELS)
        bid, ask = book.bids[0].price, book.asks[0].price
        return Quote(bid=bid, ask=ask, read_at_ms=book.read_at_ms)

    async def book(self, symbol: str, depth: int) -> Book:
        """See VenueGateway. `read_at_ms` is this machine's clock."""
        await self._link.market(symbol)
        sizes = self._dialect.book_sizes or (depth,)
        size = next((size for size in sizes if size >= depth), sizes[-1])

        async def ask() -> Book:
            book = await self._client.fetch_order_book(symbol, size)
            return reports.book(book, depth, reports.now_ms())

        return await self._link.ask(ask)

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
        life_ms = self._dialect.request_life.life_ms(self._link.config.validity_window_ms)
        headers = self._dialect.create_headers(signed_at_ms + life_ms)
        with venue_call(signed_at_ms=signed_at_ms, headers=headers) as call:
            try:
                async with asyncio.timeout(float(self._link.config.http_deadline_s)):
                    await self._link.need_markets()
                    arguments = self._order_arguments(intent, life_ms, signed_at_ms + life_ms)
                    order = await self._client.create_order(*arguments)
                return self._acknowledged(order, intent)
            except (VenueRejectedError, OutcomeUnknownError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the order may be live
                told = submission_error(error, call, self._dialect, self._link.redactor)
                if isinstance(told, VenueClockError):
                    self._link.expire_clock()
                elif isinstance(told, VenueRejectedError):
                    self._mind_rejection(told)
                raise told from None  # the cause's text may hold a signed request

    async def find(self, symbol: str, client_order_id: str, *, since_ms: int) -> ExecutionReport:
        """See VenueGateway."""
        rendered = self._dialect.render_id(client_order_id)

        async def ask() -> Any:
            return await self._dialect.look_up(self._client, symbol, rendered, since_ms)

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

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        """See VenueGateway. Without topics it is silent, and the account is polled."""
        if not self._dialect.stream_topics:
            yield _silence()
            return
        client = await self._link.stream_client()
        async with private_stream(
            client,
            self._dialect,
            self._link.redactor,
            parse_order=self._stream_order,
            parse_trade=self._stream_trade,
            open_deadline_s=float(self._link.config.http_deadline_s),
        ) as events:
            yield events

    async def close(self) -> None:
        """See VenueGateway. Streams are closed by whoever entered them."""
        for fees in self._fees.values():
            await fees.aclose()
        await self._link.close()

    # Submitting

    def _order_arguments(
        self, intent: ChildIntent, life_ms: int, valid_until_ms: int
    ) -> tuple[Any, ...]:
        self._refuse_off_grid(intent)
        self._refuse_unknown_quantity(intent)
        params: dict[str, str | bool] = {
            self._dialect.id_param: self._dialect.render_id(intent.client_order_id),
            **self._dialect.create_params(life_ms, valid_until_ms),
        }
        if intent.post_only:
            params["postOnly"] = True
        elif intent.child_type is ChildType.LIMIT:
            params["timeInForce"] = intent.time_in_force.value
        price = None if intent.price is None else format(intent.price, "f")
        quantity = format(intent.quantity, "f")
        kind = intent.child_type.value
        return intent.symbol, kind, intent.side.value, quantity, price, params

    def _refuse_off_grid(self, intent: ChildIntent) -> None:
        # ccxt would cut the quantity and round the price without a word.
        exact = _is_unchanged(self._client.amount_to_precision, intent.symbol, intent.quantity)
        if intent.price is not None:
            exact = exact and _is_unchanged(
                self._client.price_to_precision, intent.symbol, intent.price
            )
        if not exact:
            raise VenueRejectedError(
                f"off the grid of {intent.symbol}: quantity {intent.quantity}, "
                f"price {intent.price}; not sent",
                code="PRECISION",
                family=RejectionFamily.FILTER,
            )

    def _refuse_unknown_quantity(self, intent: ChildIntent) -> None:
        is_market_buy = intent.child_type is ChildType.MARKET and intent.side is Side.BUY
        if is_market_buy and self._dialect.buys_market_by_quote:
            raise VenueRejectedError(
                f"{self.venue} takes a market buy by the money to spend, not by quantity: "
                "use a limit order; not sent",
                code="MARKET_BUY_BY_QUOTE",
                family=RejectionFamily.PERMISSION,
            )

    def _mind_rejection(self, told: VenueRejectedError) -> None:
        # Our own checks passed: the rules that they were made by may have changed.
        if told.family is RejectionFamily.FILTER:
            self._link.doubt_markets()

    def _acknowledged(self, order: Any, intent: ChildIntent) -> ExecutionReport:
        told = reports.client_id_text(order)
        if told is not None and told != self._dialect.render_id(intent.client_order_id):
            raise OutcomeUnknownError("the venue answered with another order")
        if self._dialect.ack_fields:
            reports.require_told(order, self._dialect.ack_fields)
            return reports.acknowledgement(order, intent.client_order_id)
        reports.require_told(order, self._dialect.order_fields)
        order = self._dialect.amend_order(order)
        fills = reports.answered_fills(order, fee_asset=intent.symbol.partition("/")[2])
        report = reports.execution_report(order, intent.client_order_id, fills)
        filled = sum((each.quantity for each in fills), Decimal(0))
        if report.executed_quantity > intent.quantity or (
            fills and filled != report.executed_quantity
        ):
            raise OutcomeUnknownError("the venue's answer contradicts itself")
        return report

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

    def _venue_order(self, order: Any, symbol: str, fills: tuple[Fill, ...] = ()) -> VenueOrder:
        ours = self._dialect.parse_id(reports.client_id_text(order))
        return reports.venue_order(order, symbol, ours, fills)

    def _asked_order(self, order: Any, symbol: str) -> VenueOrder:
        reports.require_told(order, self._dialect.order_fields)
        return self._venue_order(self._dialect.amend_order(order), symbol)

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


def _is_unchanged(round_text: Callable[[str, str], str], symbol: str, value: Decimal) -> bool:
    try:
        return Decimal(round_text(symbol, format(value, "f"))) == value
    except ccxt.InvalidOrder:  # it would be rounded to nothing
        return False


def open_gateway(config: VenueConfig) -> CcxtGateway:
    """A gateway for `config`; nothing is sent yet. ValueError for what cannot be configured."""
    dialect = dialect_of(config.venue)
    if config.sandbox and config.paper_url is None and not dialect.sandbox_hosts:
        raise ValueError(f"venue {config.venue} has no sandbox")
    if dialect.needs_passphrase and not config.passphrase:
        raise ValueError(f"venue {config.venue} needs a passphrase")
    if config.paper_url is not None:
        if config.sandbox:
            raise ValueError("paper_url and sandbox exclude each other")
        paper = RewritingSession(dict.fromkeys(dialect.hosts, config.paper_url))
        return CcxtGateway(CcxtLink(config, dialect, GuardedSession(paper, dialect.hosts)))
    hosts = dialect.sandbox_hosts if config.sandbox else dialect.hosts
    return CcxtGateway(CcxtLink(config, dialect, GuardedSession(LazySession(), hosts)))
