"""The exchange's commands: accept, match and cancel orders.

Theory of operation. A command first decides (and may refuse: then nothing has changed), then emits
events. Each event is folded into the state at once and kept in `_pending` until the caller takes it
to the journal; the caller must do so before any answer leaves. The books are derived: on start they
are rebuilt from the open orders. Liquidity of the market itself (owner `market`) has negative ids,
lives in the books only, and is never journaled; its trades with accounts are.
Pure: time comes in as an argument. Knows nothing of files, sockets or dialects.
"""

from collections.abc import Mapping
from decimal import Decimal

from activities.venues.simulator import filters, matching
from activities.venues.simulator.book import OrderBook, RestingOrder
from activities.venues.simulator.conditions import Conditions
from activities.venues.simulator.events import (
    AccountOpened,
    Deposited,
    Event,
    OrderAccepted,
    OrderUpdated,
    TradeDone,
    TradeIdsReserved,
)
from activities.venues.simulator.matching import Fill
from activities.venues.simulator.orders import (
    MARKET_OWNER,
    ZERO,
    NewOrder,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.specs import FeeRates, SymbolSpec
from activities.venues.simulator.state import ExchangeState
from activities.venues.simulator.tape import PublicTrade, Tape

TRADE_ID_BLOCK = 10_000  # trade ids reserved in the journal at a time


class Engine:
    """One venue's books, accounts and orders."""

    def __init__(self, state: ExchangeState, fees: FeeRates) -> None:
        self.state = state
        self.fees = fees
        self.conditions = Conditions()
        self.books = {name: OrderBook() for name in state.specs}
        self.tapes = {name: Tape(last=spec.anchor) for name, spec in state.specs.items()}
        self._pending: list[Event] = []
        self._last_quote_id = 0
        for name, reserved in state.trade_ids_reserved.items():
            state.last_trade_id[name] = max(state.last_trade_id[name], reserved)
        for order in state.open_orders():
            self._rest(order)

    def spec(self, symbol: str) -> SymbolSpec:
        """Rules of a symbol (unified name); refuses UNKNOWN_SYMBOL."""
        found = self.state.specs.get(symbol)
        if found is None:
            raise RefusedError(Reason.UNKNOWN_SYMBOL)
        return found

    @property
    def halted(self) -> set[str]:
        """The symbols (unified names) that do not trade now."""
        return self.conditions.halted

    def take_events(self) -> list[Event]:
        """The events since the last call, to be journaled and published in this order."""
        taken, self._pending = self._pending, []
        return taken

    # -- accounts and their orders ----------------------------------------------------------

    def open_account(self, account: str, start: Mapping[str, Decimal], now_ms: int) -> None:
        """Open an account unless it exists: an existing one keeps its balances."""
        if account not in self.state.accounts.balances:
            self._emit(AccountOpened(ts_ms=now_ms, account=account, balances=dict(start)))

    def place(self, account: str, wanted: NewOrder, now_ms: int) -> tuple[Order, list[TradeDone]]:
        """Accept and match an order; returns it with the trades it made at once.

        Raises RefusedError, and then nothing has changed.
        """
        spec = self.spec(wanted.symbol)
        if wanted.symbol in self.halted:
            raise RefusedError(Reason.SYMBOL_HALTED)
        book = self.books[wanted.symbol]
        quantity, book_ended = self._quantity(spec, book, wanted)
        self._check(account, wanted, quantity, book_ended=book_ended)
        order = self._accept(account, wanted, quantity, now_ms)
        if self._would_take(wanted):
            self._set_status(order, OrderStatus.EXPIRED, now_ms)
            return order, []
        fills: list[Fill] = []
        if order.tif is not TimeInForce.FOK or self._fillable(book, order):
            limit = None if order.type is OrderType.MARKET else order.price
            fills = matching.sweep(book, order.side, order.quantity, limit)
        trades = [self._take(order, fill, now_ms) for fill in fills]
        self._finish(order, book_ended, now_ms)
        return order, trades

    def cancel(self, order: Order, now_ms: int, cancel_id: str = "") -> None:
        """Cancel an open order. Raises RefusedError(UNKNOWN_ORDER) if it is open no more."""
        if not order.status.is_open:
            raise RefusedError(Reason.UNKNOWN_ORDER)
        self.books[order.symbol].remove(order.order_id)
        self._set_status(order, OrderStatus.CANCELED, now_ms, cancel_id)

    def _quantity(
        self, spec: SymbolSpec, book: OrderBook, wanted: NewOrder
    ) -> tuple[Decimal, bool]:
        """Base quantity to trade, and whether the book ends before a wanted cost is spent."""
        if wanted.quote_quantity is None:
            assert wanted.quantity is not None, "an order has a quantity or a cost"
            return wanted.quantity, False
        filters.check_notional(spec, wanted.quote_quantity)
        return matching.affordable(book, wanted.side, wanted.quote_quantity, spec.lot)

    def _check(
        self, account: str, wanted: NewOrder, quantity: Decimal, *, book_ended: bool
    ) -> None:
        spec, book = self.state.specs[wanted.symbol], self.books[wanted.symbol]
        if wanted.type is not OrderType.MARKET:
            filters.check_price(spec, wanted.price)
        if quantity or not book_ended:
            filters.check_quantity(spec, quantity)
        if wanted.quote_quantity is None:
            priced = wanted.price or self.tapes[wanted.symbol].last
            filters.check_notional(spec, priced * quantity)
        if self.state.has_open(account, wanted.client_order_id):
            raise RefusedError(Reason.DUPLICATE_ORDER)
        if self._would_take(wanted) and not wanted.ends_if_taking:
            raise RefusedError(Reason.WOULD_TAKE)
        asset, amount = self._funds_needed(spec, book, wanted, quantity)
        self.state.accounts.require_free(account, asset, amount)

    def _would_take(self, wanted: NewOrder) -> bool:
        """Whether this is a post-only order that would take liquidity."""
        book = self.books[wanted.symbol]
        return wanted.type is OrderType.LIMIT_MAKER and matching.crosses(
            book, wanted.side, wanted.price
        )

    @staticmethod
    def _funds_needed(
        spec: SymbolSpec, book: OrderBook, wanted: NewOrder, quantity: Decimal
    ) -> tuple[str, Decimal]:
        if wanted.side is Side.SELL:
            return spec.base, quantity
        if wanted.type is not OrderType.MARKET:
            return spec.quote, wanted.price * quantity
        fills = matching.preview(book, wanted.side, quantity)
        return spec.quote, sum((fill.price * fill.quantity for fill in fills), ZERO)

    def _accept(self, account: str, wanted: NewOrder, quantity: Decimal, now_ms: int) -> Order:
        order_id = self.state.last_order_id + 1
        self._emit(
            OrderAccepted(
                ts_ms=now_ms,
                order_id=order_id,
                client_order_id=wanted.client_order_id,
                account=account,
                symbol=wanted.symbol,
                side=wanted.side,
                type=wanted.type,
                tif=wanted.tif,
                price=wanted.price,
                quantity=quantity,
                quote_quantity=wanted.quote_quantity or ZERO,
            )
        )
        return self.state.orders[order_id]

    @staticmethod
    def _fillable(book: OrderBook, order: Order) -> bool:
        fills = matching.preview(book, order.side, order.quantity, order.price)
        return sum((fill.quantity for fill in fills), ZERO) == order.quantity

    def _finish(self, order: Order, book_ended: bool, now_ms: int) -> None:
        """Give the order its status after matching, or let its rest wait in the book."""
        if not order.remaining and not book_ended:
            self._set_status(order, OrderStatus.FILLED, now_ms)
        elif order.type is OrderType.MARKET or order.tif is not TimeInForce.GTC:
            self._set_status(order, OrderStatus.EXPIRED, now_ms)
        else:
            self._rest(order)
            if order.executed:
                self._set_status(order, OrderStatus.PARTIALLY_FILLED, now_ms)

    def _rest(self, order: Order) -> None:
        self.books[order.symbol].add(
            RestingOrder(
                order_id=order.order_id,
                owner=order.account,
                side=order.side,
                price=order.price,
                remaining=order.remaining,
            )
        )

    # -- the market itself ------------------------------------------------------------------

    def quote(self, symbol: str, side: Side, price: Decimal, quantity: Decimal, now_ms: int) -> int:
        """Rest liquidity of the market; it first trades with what it crosses. Returns its id."""
        taken = self.flow(symbol, side, quantity, price, now_ms)
        self._last_quote_id -= 1
        if taken < quantity:
            resting = RestingOrder(
                order_id=self._last_quote_id,
                owner=MARKET_OWNER,
                side=side,
                price=price,
                remaining=quantity - taken,
            )
            self.books[symbol].add(resting)
        return self._last_quote_id

    def withdraw(self, symbol: str, quote_id: int) -> None:
        """Take the market's own liquidity back; nothing if it has traded away."""
        self.books[symbol].remove(quote_id)

    def flow(
        self, symbol: str, side: Side, quantity: Decimal, limit: Decimal | None, now_ms: int
    ) -> Decimal:
        """Immediate-or-cancel order of the market. Returns the base quantity that traded."""
        fills = matching.sweep(self.books[symbol], side, quantity, limit)
        for fill in fills:
            trade_id = self._print(symbol, side, fill, now_ms)
            self._make(fill, trade_id, MARKET_OWNER, now_ms)
        return sum((fill.quantity for fill in fills), ZERO)

    def fill_resting(self, order: Order, quantity: Decimal, now_ms: int) -> None:
        """The market trades `quantity` (base) with this order, whatever stands before it.

        Raises RefusedError(UNKNOWN_ORDER) if it is not open, (LOT_SIZE) if it has less left.
        """
        if not order.status.is_open:
            raise RefusedError(Reason.UNKNOWN_ORDER)
        if not 0 < quantity <= order.remaining:
            raise RefusedError(Reason.LOT_SIZE)
        fill = Fill(
            maker_order_id=order.order_id,
            maker_owner=order.account,
            price=order.price,
            quantity=quantity,
        )
        self.books[order.symbol].reduce(order.order_id, quantity)
        trade_id = self._print(order.symbol, order.side.opposite, fill, now_ms)
        self._make(fill, trade_id, MARKET_OWNER, now_ms)

    # -- trades -----------------------------------------------------------------------------

    def _take(self, order: Order, fill: Fill, now_ms: int) -> TradeDone:
        trade_id = self._print(order.symbol, order.side, fill, now_ms)
        trade = self._trade(order, fill, trade_id, fill.maker_owner, now_ms, maker=False)
        self._make(fill, trade_id, order.account, now_ms)
        return trade

    def _make(self, fill: Fill, trade_id: int, taker: str, now_ms: int) -> None:
        """Book the resting side of a fill, if it belongs to an account."""
        if fill.maker_owner == MARKET_OWNER:
            return
        order = self.state.orders[fill.maker_order_id]
        self._trade(order, fill, trade_id, taker, now_ms, maker=True)
        done = not order.remaining
        status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
        self._set_status(order, status, now_ms)

    def _trade(
        self, order: Order, fill: Fill, trade_id: int, other: str, now_ms: int, *, maker: bool
    ) -> TradeDone:
        spec = self.state.specs[order.symbol]
        rate = self.fees.maker if maker else self.fees.taker
        fee, fee_asset = self.conditions.fee(spec, order.side, fill, rate)
        if fee_asset not in (spec.base, spec.quote):
            self._pay_in(order.account, fee_asset, fee, now_ms)
        trade = TradeDone(
            ts_ms=now_ms,
            trade_id=trade_id,
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            account=order.account,
            symbol=order.symbol,
            side=order.side,
            price=fill.price,
            quantity=fill.quantity,
            fee=fee,
            fee_asset=fee_asset,
            maker=maker,
            counterparty=other,
            executed=order.executed + fill.quantity,
            quote_executed=order.quote_executed + fill.price * fill.quantity,
        )
        self._emit(trade)
        return trade

    def _pay_in(self, account: str, asset: str, fee: Decimal, now_ms: int) -> None:
        """A fee in a third asset needs some of it: the venue pays in what is not there."""
        short = fee - self.state.accounts.of(account, asset).free
        if short > 0:
            self._emit(Deposited(ts_ms=now_ms, account=account, asset=asset, amount=short))

    def _print(self, symbol: str, taker_side: Side, fill: Fill, now_ms: int) -> int:
        """Put a trade on the tape and number it; ids are unique per symbol, also after a crash."""
        state = self.state
        trade_id = state.last_trade_id[symbol] = state.last_trade_id[symbol] + 1
        if trade_id > state.trade_ids_reserved[symbol]:
            up_to = trade_id + TRADE_ID_BLOCK
            self._emit(TradeIdsReserved(ts_ms=now_ms, symbol=symbol, up_to=up_to))
        self.tapes[symbol].record(
            PublicTrade(
                trade_id=trade_id,
                price=fill.price,
                quantity=fill.quantity,
                taker_side=taker_side,
                ts_ms=now_ms,
            )
        )
        return trade_id

    def _set_status(
        self, order: Order, status: OrderStatus, now_ms: int, cancel_id: str = ""
    ) -> None:
        self._emit(
            OrderUpdated(
                ts_ms=now_ms,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                account=order.account,
                symbol=order.symbol,
                status=status,
                executed=order.executed,
                cancel_id=cancel_id,
            )
        )

    def _emit(self, event: Event) -> None:
        self.state.apply(event)
        self._pending.append(event)
