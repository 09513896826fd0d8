"""Binance's signed endpoints: orders, own trades and balances.

Rule: a function reads and checks all parameters, calls `finish`, and only then acts. Every call
acts for one account, and sees that account's orders only.
"""

from activities.venues.simulator.binance import errors, order_params, order_shapes, shapes
from activities.venues.simulator.binance.errors import CLIENT_ID_RANGE
from activities.venues.simulator.binance.market_data import Symbols
from activities.venues.simulator.binance.order_params import ResponseType, random_id
from activities.venues.simulator.binance.params import Params
from activities.venues.simulator.binance.shapes import Json
from activities.venues.simulator.events import TradeDone
from activities.venues.simulator.orders import NO_LIST, Order
from activities.venues.simulator.refusals import Reason
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.specs import SymbolSpec

_DAY_MS = 24 * 60 * 60 * 1_000


class Trading:
    """The signed endpoints of one exchange."""

    def __init__(self, exchange: PaperExchange, symbols: Symbols) -> None:
        self._exchange, self._symbols = exchange, symbols
        self._engine = exchange.engine

    def create(self, account: str, params: Params) -> Json:
        """POST /order."""
        spec = self._symbols.one(params)
        wanted = order_params.new_order(spec, params)
        answer_type = order_params.response_type(params, wanted.type)
        params.finish()
        order, trades = self._engine.place(account, wanted, self._exchange.now_ms())
        match answer_type:
            case ResponseType.ACK:
                return order_shapes.order_acknowledged(spec, order)
            case ResponseType.RESULT:
                return order_shapes.order_result(spec, order)
            case ResponseType.FULL:
                prevented = self._engine.state.prevented_of(order.order_id)
                return order_shapes.order_full(spec, order, trades, prevented)

    def query(self, account: str, params: Params) -> Json:
        """GET /order, by orderId or origClientOrderId."""
        spec, order = self._find(account, params)
        params.finish()
        if order is None:
            raise errors.no_such_order()
        return order_shapes.order_state(spec, order)

    def cancel(self, account: str, params: Params) -> Json:
        """DELETE /order, by orderId or origClientOrderId."""
        spec, order = self._find(account, params)
        cancel_id = params.matching("newClientOrderId", CLIENT_ID_RANGE) or random_id()
        params.finish()
        if order is None:
            raise errors.of_refusal(Reason.UNKNOWN_ORDER)
        self._engine.cancel(order, self._exchange.now_ms(), cancel_id)
        return order_shapes.order_cancelled(spec, order, cancel_id)

    def open_orders(self, account: str, params: Params) -> list[Json]:
        """GET /openOrders, of one symbol or of all."""
        name = params.text("symbol")
        wanted = None if name is None else self._symbols.named(name).name
        params.finish()
        specs = self._engine.state.specs
        found = self._engine.state.open_orders(account, wanted)
        return [order_shapes.order_state(specs[order.symbol], order) for order in found]

    def cancel_open(self, account: str, params: Params) -> list[Json]:
        """DELETE /openOrders of one symbol; refused with -2011 if there are none."""
        spec = self._symbols.one(params)
        params.finish()
        found = list(self._engine.state.open_orders(account, spec.name))
        if not found:
            raise errors.of_refusal(Reason.UNKNOWN_ORDER)
        return [self._cancel_one(spec, each) for each in found if each.status.is_open]

    def _cancel_one(self, spec: SymbolSpec, order: Order) -> Json:
        """Cancel an order, or the list that it belongs to: then the answer is the list's."""
        cancel_id, state = random_id(), self._engine.state
        self._engine.cancel(order, self._exchange.now_ms(), cancel_id)
        if order.list_id == NO_LIST:
            return order_shapes.order_cancelled(spec, order, cancel_id)
        found = state.lists[order.list_id]
        return order_shapes.list_cancelled(spec, found, state.orders, cancel_id)

    def my_trades(self, account: str, params: Params) -> list[Json]:
        """GET /myTrades: of one order, from a trade id on, in a time window, or the latest."""
        spec = self._symbols.one(params)
        order_id, from_id = params.integer("orderId"), params.integer("fromId")
        start, end = params.integer("startTime"), params.integer("endTime")
        limit = params.limit(500, 1_000)
        params.finish()
        by_time = start is not None or end is not None
        if by_time and (from_id is not None or order_id is not None):
            raise errors.bad_combination()
        trades = self._engine.state.trades_of(account, spec.name)
        if order_id is not None:
            trades = [trade for trade in trades if trade.order_id == order_id]
        if by_time:
            trades = _between(trades, start, end)
        if from_id is not None:
            trades = [trade for trade in trades if trade.trade_id >= from_id]
        ascending = from_id is not None or start is not None
        chosen = trades[:limit] if ascending else trades[-limit:]
        orders = self._engine.state.orders
        return [
            order_shapes.my_trade(spec, trade, orders[trade.order_id].list_id) for trade in chosen
        ]

    def account(self, account: str, params: Params) -> Json:
        """GET /account."""
        omit_zero = params.flag("omitZeroBalances")
        params.finish()
        balances = self._engine.state.accounts.balances[account]
        return shapes.account(
            balances, self._engine.fees, self._exchange.now_ms(), omit_zero=omit_zero
        )

    def commission(self, account: str, params: Params) -> Json:
        """GET /account/commission of one symbol; all accounts pay the same."""
        del account
        spec = self._symbols.one(params)
        params.finish()
        return shapes.commission(spec, self._engine.fees)

    def _find(self, account: str, params: Params) -> tuple[SymbolSpec, Order | None]:
        spec = self._symbols.one(params)
        order_id = params.integer("orderId")
        client_id = params.matching("origClientOrderId", CLIENT_ID_RANGE)
        if order_id is None and client_id is None:
            raise errors.neither_sent("origClientOrderId", "orderId")
        return spec, self._engine.state.find(account, spec.name, order_id, client_id)


def _between(trades: list[TradeDone], start: int | None, end: int | None) -> list[TradeDone]:
    if start is not None and end is not None and end - start > _DAY_MS:
        raise errors.window_of_trades_too_long()
    low = start if start is not None else (end or 0) - _DAY_MS
    high = end if end is not None else low + _DAY_MS
    return [trade for trade in trades if low <= trade.ts_ms <= high]
