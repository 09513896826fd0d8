"""The trading floor: books and tapes, and the records of what happens on them.

Theory of operation. Whatever happens is an event: folded into the state at once and kept in
`pending` until the caller takes it to the journal. Of two orders of a list, the first that trades
or is triggered makes the other expire, before its own record. Each printed trade's price is noted
in `prints`, for the triggers to look at when the command has been carried out.
Decides nothing about what is accepted, and knows nothing of files, sockets or dialects.
"""

from collections import deque
from decimal import Decimal

from activities.venues.simulator import acceptance, triggers
from activities.venues.simulator.book import OrderBook, RestingOrder
from activities.venues.simulator.conditions import Conditions
from activities.venues.simulator.events import (
    Deposited,
    Event,
    MatchPrevented,
    OrderAccepted,
    OrderListEnded,
    OrderListOpened,
    OrderTriggered,
    OrderUpdated,
    TradeDone,
    TradeIdsReserved,
    TrailingMoved,
)
from activities.venues.simulator.matching import Clash, Fill
from activities.venues.simulator.orders import (
    MARKET_OWNER,
    NO_LIST,
    ZERO,
    NewOrder,
    NewOrderList,
    Order,
    OrderList,
    OrderStatus,
    Side,
)
from activities.venues.simulator.specs import FeeRates
from activities.venues.simulator.state import ExchangeState
from activities.venues.simulator.tape import PublicTrade, Tape

TRADE_ID_BLOCK = 10_000  # trade ids reserved in the journal at a time


class Floor:
    """Books and tapes of all symbols, and the one way to record anything."""

    def __init__(self, state: ExchangeState, fees: FeeRates) -> None:
        self.state, self.fees = state, fees
        self.conditions = Conditions()
        self.books = {name: OrderBook() for name in state.specs}
        self.tapes = {name: Tape(last=spec.anchor) for name, spec in state.specs.items()}
        self.pending: list[Event] = []
        self.prints: deque[tuple[str, Decimal]] = deque()
        for name, reserved in state.trade_ids_reserved.items():
            state.last_trade_id[name] = max(state.last_trade_id[name], reserved)
        for order in state.open_orders():
            if not order.is_waiting:
                self.rest(order)

    def emit(self, event: Event) -> None:
        """Record one thing that happened."""
        self.state.apply(event)
        self.pending.append(event)

    # -- orders -----------------------------------------------------------------------------

    def accept(
        self,
        account: str,
        wanted: NewOrder,
        quantity: Decimal,
        now_ms: int,
        list_id: int = NO_LIST,
    ) -> Order:
        """Record a new order; all checks have been passed."""
        order_id = self.state.last_order_id + 1
        last = self.tapes[wanted.symbol].last
        self.emit(
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
                stop_price=wanted.stop_price,
                trailing_delta=wanted.trailing_delta,
                iceberg_quantity=wanted.iceberg_quantity,
                lock_price=acceptance.lock_price(wanted, last),
                extreme=triggers.first_extreme(wanted, last),
                list_id=list_id,
                self_trade=wanted.self_trade,
            )
        )
        return self.state.orders[order_id]

    def open_list(self, account: str, wanted: NewOrderList, now_ms: int) -> OrderList:
        """Record a new list; its two orders are to be accepted next."""
        list_id, first = len(self.state.lists) + 1, self.state.last_order_id + 1
        self.emit(
            OrderListOpened(
                ts_ms=now_ms,
                list_id=list_id,
                client_order_id=wanted.client_order_id,
                account=account,
                symbol=wanted.above.symbol,
                first_order_id=first,
                second_order_id=first + 1,
            )
        )
        return self.state.lists[list_id]

    def rest(self, order: Order) -> None:
        """Queue what is left of an order in its book."""
        resting = RestingOrder(
            order_id=order.order_id,
            owner=order.account,
            side=order.side,
            price=order.price,
            remaining=order.remaining,
            display=order.iceberg_quantity,
        )
        self.books[order.symbol].add(resting)

    def set_status(
        self,
        order: Order,
        status: OrderStatus,
        now_ms: int,
        cancel_id: str = "",
        *,
        by_timer: bool = False,
    ) -> None:
        """Record a status; an order that ended leaves its book, and may end its list."""
        self.emit(
            OrderUpdated(
                ts_ms=now_ms,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                account=order.account,
                symbol=order.symbol,
                status=status,
                executed=order.executed,
                cancel_id=cancel_id,
                by_timer=by_timer,
            )
        )
        if status.is_open:
            return
        self.books[order.symbol].remove(order.order_id)
        if order.list_id != NO_LIST and self.state.partner_of(order) is None:
            self._end_list(self.state.lists[order.list_id], now_ms)

    def follow(self, order: Order, extreme: Decimal, now_ms: int) -> None:
        """Record a trailing order's new best price."""
        self.emit(
            TrailingMoved(
                ts_ms=now_ms,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                account=order.account,
                symbol=order.symbol,
                extreme=extreme,
            )
        )

    def trigger(self, order: Order, price: Decimal, now_ms: int) -> None:
        """Record that a trade at `price` has triggered a waiting order."""
        self._expire_partner(order, now_ms)
        self.emit(
            OrderTriggered(
                ts_ms=now_ms,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                account=order.account,
                symbol=order.symbol,
                price=price,
            )
        )

    def _expire_partner(self, order: Order, now_ms: int) -> None:
        partner = self.state.partner_of(order)
        if partner is not None:
            self.set_status(partner, OrderStatus.EXPIRED, now_ms)

    def _end_list(self, ended: OrderList, now_ms: int) -> None:
        self.emit(
            OrderListEnded(
                ts_ms=now_ms,
                list_id=ended.list_id,
                client_order_id=ended.client_order_id,
                account=ended.account,
                symbol=ended.symbol,
            )
        )

    # -- trades -----------------------------------------------------------------------------

    def take(self, order: Order, fill: Fill, now_ms: int) -> TradeDone:
        """Book a fill that an account's order took from the book, on both sides."""
        trade_id = self.print(order.symbol, order.side, fill.price, fill.quantity, now_ms)
        trade = self._trade(order, fill, trade_id, fill.maker_owner, now_ms, maker=False)
        self.make(fill, trade_id, order.account, now_ms)
        return trade

    def make(self, fill: Fill, trade_id: int, taker: str, now_ms: int) -> None:
        """Book the resting side of a fill, if it belongs to an account."""
        if fill.maker_owner == MARKET_OWNER:
            return
        order = self.state.orders[fill.maker_order_id]
        self._expire_partner(order, now_ms)
        self._trade(order, fill, trade_id, taker, now_ms, maker=True)
        done = not order.remaining
        status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
        self.set_status(order, status, now_ms)

    def prevent(self, order: Order, clash: Clash, now_ms: int) -> None:
        """End what `order` wants ended where it meets another of its account, instead of a trade.

        A maker of a list takes its partner with it.
        """
        mode, maker = order.self_trade, self.state.orders[clash.maker_order_id]
        self.emit(
            MatchPrevented(
                ts_ms=now_ms,
                match_id=self.state.last_match_id[order.symbol] + 1,
                account=order.account,
                symbol=order.symbol,
                taker_order_id=order.order_id,
                maker_order_id=maker.order_id,
                price=clash.price,
                quantity=min(order.remaining, clash.remaining),
                taker_prevented=order.remaining if mode.ends_taker else ZERO,
                maker_prevented=clash.remaining if mode.ends_maker else ZERO,
            )
        )
        if mode.ends_maker:
            self._expire_partner(maker, now_ms)
            self.set_status(maker, OrderStatus.EXPIRED_IN_MATCH, now_ms)
        if mode.ends_taker:
            self.set_status(order, OrderStatus.EXPIRED_IN_MATCH, now_ms)

    def print(
        self, symbol: str, taker_side: Side, price: Decimal, quantity: Decimal, now_ms: int
    ) -> int:
        """Put a trade on the tape and number it; ids are unique per symbol, also after a crash."""
        state = self.state
        trade_id = state.last_trade_id[symbol] = state.last_trade_id[symbol] + 1
        if trade_id > state.trade_ids_reserved[symbol]:
            up_to = trade_id + TRADE_ID_BLOCK
            self.emit(TradeIdsReserved(ts_ms=now_ms, symbol=symbol, up_to=up_to))
        self.tapes[symbol].record(
            PublicTrade(
                trade_id=trade_id,
                price=price,
                quantity=quantity,
                taker_side=taker_side,
                ts_ms=now_ms,
            )
        )
        self.prints.append((symbol, price))
        return trade_id

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
        self.emit(trade)
        return trade

    def _pay_in(self, account: str, asset: str, fee: Decimal, now_ms: int) -> None:
        """A fee in a third asset needs some of it: the venue pays in what is not there."""
        short = fee - self.state.accounts.of(account, asset).free
        if short > 0:
            self.emit(Deposited(ts_ms=now_ms, account=account, asset=asset, amount=short))
