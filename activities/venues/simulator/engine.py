"""The exchange's commands: accept, match, trigger and cancel orders.

Theory of operation. A command first decides (and may refuse: then nothing has changed), then emits
events through the floor; the caller must take them to the journal before any answer leaves. The
books are derived: on start they are rebuilt from the open orders. Liquidity of the market itself
(owner `market`) has negative ids, lives in the books only, and is never journaled; its trades with
accounts are. At the end of each command the waiting orders look at every trade that it printed, in
order; those that fire work at once, and what they print is looked at in turn.
Pure: time comes in as an argument. Knows nothing of files, sockets or dialects.
"""

from collections.abc import Mapping
from decimal import Decimal

from activities.venues.simulator import acceptance, matching, order_lists, triggers
from activities.venues.simulator.accounts import paid_asset_of
from activities.venues.simulator.book import OrderBook, RestingOrder
from activities.venues.simulator.events import (
    AccountOpened,
    CancelTimerSet,
    Deposited,
    Event,
    TradeDone,
)
from activities.venues.simulator.floor import Floor
from activities.venues.simulator.matching import Clash, Fill, Guard
from activities.venues.simulator.orders import (
    MARKET_OWNER,
    ZERO,
    NewOrder,
    NewOrderList,
    Order,
    OrderList,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from activities.venues.simulator.refusals import Reason, RefusedError
from activities.venues.simulator.specs import FeeRates, SymbolSpec
from activities.venues.simulator.state import ExchangeState


class Engine:
    """One venue's books, accounts and orders."""

    def __init__(self, state: ExchangeState, fees: FeeRates) -> None:
        self.state, self.fees = state, fees
        self._floor = Floor(state, fees)
        self.conditions = self._floor.conditions
        self.books, self.tapes = self._floor.books, self._floor.tapes
        self._last_quote_id = 0

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
        taken, self._floor.pending = self._floor.pending, []
        return taken

    # -- accounts and their orders ----------------------------------------------------------

    def open_account(self, account: str, start: Mapping[str, Decimal], now_ms: int) -> None:
        """Open an account unless it exists: an existing one keeps its balances."""
        if account not in self.state.accounts.balances:
            self._floor.emit(AccountOpened(ts_ms=now_ms, account=account, balances=dict(start)))

    def deposit(self, account: str, asset: str, amount: Decimal, now_ms: int) -> None:
        """Pay in from outside, or out again where `amount` is negative.

        Raises RefusedError(INSUFFICIENT_BALANCE) if less than that is free.
        """
        self.state.accounts.require_free(account, asset, -amount)
        self._floor.emit(Deposited(ts_ms=now_ms, account=account, asset=asset, amount=amount))

    def place(self, account: str, wanted: NewOrder, now_ms: int) -> tuple[Order, list[TradeDone]]:
        """Accept and match an order; returns it with the trades it made at once.

        Raises RefusedError, and then nothing has changed.
        """
        spec, book = self._open_market(wanted.symbol)
        last = self.tapes[wanted.symbol].last
        quantity, book_ended = acceptance.quantity_of(spec, book, account, wanted)
        acceptance.check_rules(spec, wanted, quantity, last, book_ended=book_ended)
        acceptance.check_account(self.state, account, wanted)
        acceptance.check_market(book, wanted, last)
        asset, amount = acceptance.funds_needed(spec, book, account, wanted, quantity, last)
        self.state.accounts.require_free(account, asset, amount)
        order = self._floor.accept(account, wanted, quantity, now_ms)
        trades: list[TradeDone] = []
        if acceptance.would_take(book, wanted):
            self._floor.set_status(order, OrderStatus.EXPIRED, now_ms)
        elif not order.is_waiting:
            trades = self._work(order, now_ms, book_ended=book_ended)
        self._after_command(now_ms)
        return order, trades

    def place_list(self, account: str, wanted: NewOrderList, now_ms: int) -> OrderList:
        """Accept two orders of which one cancels the other; they wait, none trades at once.

        Raises RefusedError, and then nothing has changed.
        """
        spec, book = self._open_market(wanted.above.symbol)
        last = self.tapes[spec.name].last
        needed = ZERO
        legs = order_lists.contingent_first(wanted)
        for leg in legs:
            quantity, _ = acceptance.quantity_of(spec, book, account, leg)
            acceptance.check_rules(spec, leg, quantity, last, book_ended=False)
            acceptance.check_account(self.state, account, leg)
            _, amount = acceptance.funds_needed(spec, book, account, leg, quantity, last)
            needed = max(needed, amount)
        order_lists.check_ids(self.state, account, wanted)
        order_lists.check_prices(wanted, last)
        for leg in legs:
            acceptance.check_market(book, leg, last)
        self.state.accounts.require_free(account, paid_asset_of(spec, legs[0].side), needed)
        made = self._floor.open_list(account, wanted, now_ms)
        for leg in legs:
            quantity, _ = acceptance.quantity_of(spec, book, account, leg)
            order = self._floor.accept(account, leg, quantity, now_ms, made.list_id)
            if not order.is_waiting:
                self._floor.rest(order)
        return made

    def cancel(self, order: Order, now_ms: int, cancel_id: str = "") -> None:
        """Cancel an open order, and the one it is linked with.

        Raises RefusedError(UNKNOWN_ORDER) if it is open no more.
        """
        if not order.status.is_open:
            raise RefusedError(Reason.UNKNOWN_ORDER)
        partner = self.state.partner_of(order)
        self._floor.set_status(order, OrderStatus.CANCELED, now_ms, cancel_id)
        if partner is not None:
            self._floor.set_status(partner, OrderStatus.CANCELED, now_ms, cancel_id)

    def cancel_list(self, found: OrderList, now_ms: int, cancel_id: str = "") -> None:
        """Cancel what is open of a list. Raises RefusedError(UNKNOWN_LIST) if nothing is."""
        legs = order_lists.open_legs(self.state, found)
        if not legs:
            raise RefusedError(Reason.UNKNOWN_LIST)
        self.cancel(legs[0], now_ms, cancel_id)

    def set_timer(self, account: str, due_ms: int, now_ms: int) -> None:
        """Cancel all orders of the account at `due_ms` (the machine's clock); zero: never."""
        self._floor.emit(CancelTimerSet(ts_ms=now_ms, account=account, due_ms=due_ms))

    def run_timers(self, machine_ms: int, now_ms: int) -> None:
        """Cancel the orders of every account whose timer has run out, and set it off."""
        timers = self.state.cancel_timers.items()
        for account in [name for name, due_ms in timers if 0 < due_ms <= machine_ms]:
            for order in list(self.state.open_orders(account)):
                self._floor.set_status(order, OrderStatus.CANCELED, now_ms, by_timer=True)
            self.set_timer(account, 0, now_ms)

    def _open_market(self, symbol: str) -> tuple[SymbolSpec, OrderBook]:
        spec = self.spec(symbol)
        if symbol in self.halted:
            raise RefusedError(Reason.SYMBOL_HALTED)
        return spec, self.books[symbol]

    # -- matching ---------------------------------------------------------------------------

    def _work(self, order: Order, now_ms: int, *, book_ended: bool = False) -> list[TradeDone]:
        """Let an order take what it can, and rest or end with what is left."""
        book, guard = self.books[order.symbol], _guard(order)
        steps: list[Fill | Clash] = []
        if order.tif is not TimeInForce.FOK or self._fillable(book, order):
            limit = None if order.is_at_market else order.price
            steps = matching.take(book, order.side, self._payable(book, order), limit, guard)
        trades: list[TradeDone] = []
        for step in steps:
            if isinstance(step, Fill):
                trades.append(self._floor.take(order, step, now_ms))
            else:
                self._floor.prevent(order, step, now_ms)
        if order.status.is_open:
            self._finish(order, book_ended, now_ms)
        return trades

    def _payable(self, book: OrderBook, order: Order) -> Decimal:
        """What the account can pay for: nothing was locked for the way to a triggered price."""
        if order.type is OrderType.MARKET or not order.is_at_market or order.side is Side.SELL:
            return order.remaining
        spec = self.state.specs[order.symbol]
        budget = self.state.accounts.of(order.account, spec.quote).free
        most, _ = matching.affordable(book, order.side, budget, spec.lot, _guard(order))
        return min(order.remaining, most)

    @staticmethod
    def _fillable(book: OrderBook, order: Order) -> bool:
        fills = matching.preview(book, order.side, order.quantity, order.price, _guard(order))
        return sum((fill.quantity for fill in fills), ZERO) == order.quantity

    def _finish(self, order: Order, book_ended: bool, now_ms: int) -> None:
        """Give the order its status after matching, or let its rest wait in the book."""
        if not order.remaining and not book_ended:
            self._floor.set_status(order, OrderStatus.FILLED, now_ms)
        elif order.is_at_market or order.tif is not TimeInForce.GTC:
            self._floor.set_status(order, OrderStatus.EXPIRED, now_ms)
        else:
            self._floor.rest(order)
            if order.executed:
                self._floor.set_status(order, OrderStatus.PARTIALLY_FILLED, now_ms)

    # -- triggers ---------------------------------------------------------------------------

    def _after_command(self, now_ms: int) -> None:
        while self._floor.prints:
            self._after_print(*self._floor.prints.popleft(), now_ms)

    def _after_print(self, symbol: str, price: Decimal, now_ms: int) -> None:
        """Let the waiting orders of a symbol see a trade; those that fire work, oldest first."""
        fired: list[Order] = []
        for order in self.state.waiting(symbol):
            seen = triggers.observe(order, price)
            if seen.extreme:
                self._floor.follow(order, seen.extreme, now_ms)
            if seen.fires:
                fired.append(order)
        for order in fired:
            if order.is_waiting:  # one that fired before it may have made it expire
                self._floor.trigger(order, price, now_ms)
                self._work(order, now_ms)

    # -- the market itself ------------------------------------------------------------------

    def quote(self, symbol: str, side: Side, price: Decimal, quantity: Decimal, now_ms: int) -> int:
        """Rest liquidity of the market; it first trades with what it crosses. Returns its id."""
        taken = self._flow(symbol, side, quantity, price, now_ms)
        self._last_quote_id -= 1
        quote_id = self._last_quote_id
        if taken < quantity:
            resting = RestingOrder(
                order_id=quote_id,
                owner=MARKET_OWNER,
                side=side,
                price=price,
                remaining=quantity - taken,
            )
            self.books[symbol].add(resting)
        self._after_command(now_ms)
        return quote_id

    def withdraw(self, symbol: str, quote_id: int) -> None:
        """Take the market's own liquidity back; nothing if it has traded away."""
        self.books[symbol].remove(quote_id)

    def flow(
        self, symbol: str, side: Side, quantity: Decimal, limit: Decimal | None, now_ms: int
    ) -> Decimal:
        """Immediate-or-cancel order of the market. Returns the base quantity that traded."""
        traded = self._flow(symbol, side, quantity, limit, now_ms)
        self._after_command(now_ms)
        return traded

    def _flow(
        self, symbol: str, side: Side, quantity: Decimal, limit: Decimal | None, now_ms: int
    ) -> Decimal:
        fills = matching.sweep(self.books[symbol], side, quantity, limit)
        for fill in fills:
            trade_id = self._floor.print(symbol, side, fill.price, fill.quantity, now_ms)
            self._floor.make(fill, trade_id, MARKET_OWNER, now_ms)
        return sum((fill.quantity for fill in fills), ZERO)

    def print_trade(
        self, symbol: str, taker_side: Side, price: Decimal, quantity: Decimal, now_ms: int
    ) -> int:
        """The market trades with itself: a trade on the tape that leaves the book as it is.

        Returns the trade's id.
        """
        trade_id = self._floor.print(symbol, taker_side, price, quantity, now_ms)
        self._after_command(now_ms)
        return trade_id

    def fill_resting(self, order: Order, quantity: Decimal, now_ms: int) -> None:
        """The market trades `quantity` (base) with this order, whatever stands before it.

        Raises RefusedError(UNKNOWN_ORDER) if it is not in the book, (LOT_SIZE) if it has less left.
        """
        if not order.status.is_open or order.is_waiting:
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
        side = order.side.opposite
        trade_id = self._floor.print(order.symbol, side, order.price, quantity, now_ms)
        self._floor.make(fill, trade_id, MARKET_OWNER, now_ms)
        self._after_command(now_ms)


def _guard(order: Order) -> Guard:
    return Guard(owner=order.account, mode=order.self_trade)
