"""OKX's signed endpoints that act on orders, and those that show them.

Rule: a function reads and checks all parameters, calls `finish`, and only then acts. Every call
acts for one account, and sees that account's orders only. A client order id is taken while its
order is open and a moment longer; of two orders that bear the same one, the later is found.
"""

import itertools
import secrets
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from activities.venues.simulator.okx import errors, order_shapes
from activities.venues.simulator.okx.market_data import Instruments
from activities.venues.simulator.okx.params import CLIENT_ID, Params
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.orders import (
    ZERO,
    NewOrder,
    Order,
    OrderType,
    SelfTradeMode,
    Side,
    TimeInForce,
)
from activities.venues.simulator.refusals import RefusedError
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.specs import SymbolSpec

CLIENT_ID_TAKEN_MS = 5_000
"""How long after the end of an order its client order id is still refused."""
CANCELED_KEPT_MS = 2 * 60 * 60 * 1_000
"""How long an order that was canceled without any fill is remembered."""
TIMER_S = range(10, 121)
"""The seconds to which a timer may be set."""
_TAG = "[a-zA-Z0-9]{1,16}"


class _OrderType(StrEnum):
    LIMIT = "limit"
    MARKET = "market"
    POST_ONLY = "post_only"
    IOC = "ioc"
    FOK = "fok"


class _Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class _SizeUnit(StrEnum):
    BASE = "base_ccy"
    QUOTE = "quote_ccy"


class _SelfTrade(StrEnum):
    CANCEL_MAKER = "cancel_maker"
    CANCEL_TAKER = "cancel_taker"
    CANCEL_BOTH = "cancel_both"


class _OpenState(StrEnum):
    LIVE = "live"
    PARTIALLY_FILLED = "partially_filled"


class _EndState(StrEnum):
    CANCELED = "canceled"
    FILLED = "filled"


_KINDS = {
    _OrderType.LIMIT: (OrderType.LIMIT, TimeInForce.GTC),
    _OrderType.IOC: (OrderType.LIMIT, TimeInForce.IOC),
    _OrderType.FOK: (OrderType.LIMIT, TimeInForce.FOK),
    _OrderType.POST_ONLY: (OrderType.LIMIT_MAKER, TimeInForce.GTC),
    _OrderType.MARKET: (OrderType.MARKET, TimeInForce.GTC),
}


_SELF_TRADE = {
    _SelfTrade.CANCEL_MAKER: SelfTradeMode.EXPIRE_MAKER,
    _SelfTrade.CANCEL_TAKER: SelfTradeMode.EXPIRE_TAKER,
    _SelfTrade.CANCEL_BOTH: SelfTradeMode.EXPIRE_BOTH,
}


class Trading:
    """The endpoints of orders of one exchange."""

    def __init__(self, exchange: PaperExchange, instruments: Instruments) -> None:
        self._exchange, self._instruments = exchange, instruments
        self._engine = exchange.engine

    def create(self, account: str, params: Params) -> Json:
        """POST /trade/order, or one row of /trade/batch-orders: acknowledged, no more."""
        spec = self._instruments.one(params)
        wanted, tag = _new_order(spec, params), params.matching("tag", _TAG)
        params.finish()
        now_ms = self._exchange.now_ms()
        if self._is_taken(account, wanted.client_order_id, now_ms):
            raise errors.duplicate_client_id()
        try:
            order, _ = self._engine.place(account, wanted, now_ms)
        except RefusedError as refused:
            raise errors.of_new_order(refused.reason, spec, wanted) from None
        return order_shapes.acknowledgement(order, now_ms, tag or "")

    def cancel(self, account: str, params: Params) -> Json:
        """POST /trade/cancel-order, or one row of its batch: acknowledged, no more."""
        order = self._named(account, params)
        params.finish()
        now_ms = self._exchange.now_ms()
        if order is None or not order.status.is_open:
            raise errors.not_cancelable()
        self._engine.cancel(order, now_ms)
        return order_shapes.acknowledgement(order, now_ms)

    def cancel_all_after(self, account: str, params: Params) -> list[Json]:
        """POST /trade/cancel-all-after: a timer that the next such request sets anew."""
        params.required("timeOut")
        after_s = params.integer("timeOut") or 0
        params.finish()
        if after_s and not TIMER_S.start <= after_s < TIMER_S.stop:
            raise errors.bad_parameter("timeOut")
        self._exchange.set_timer(account, after_s)
        now_ms = self._exchange.now_ms()
        return [order_shapes.timer(now_ms + after_s * 1_000 if after_s else 0, now_ms)]

    def query(self, account: str, params: Params) -> list[Json]:
        """GET /trade/order, by ordId or clOrdId."""
        order = self._named(account, params)
        params.finish()
        if order is None or self._is_forgotten(order):
            raise errors.no_such_order()
        return [self._shown(order)]

    def pending(self, account: str, params: Params) -> list[Json]:
        """GET /trade/orders-pending: open orders, newest first."""
        params.product()
        spec = self._instruments.maybe(params)
        states = params.choices("state", _OpenState)
        found = self._engine.state.open_orders(account, None if spec is None else spec.name)
        return self._page(params, found, states)

    def history(self, account: str, params: Params) -> list[Json]:
        """GET /trade/orders-history and -archive: orders that ended, newest first."""
        params.product(required=True)
        spec = self._instruments.maybe(params)
        states = params.choices("state", _EndState)
        begin, end = params.integer("begin") or 0, params.integer("end")
        found = (
            order
            for order in self._engine.state.orders.values()
            if order.account == account
            and not order.status.is_open
            and (spec is None or order.symbol == spec.name)
            and begin <= order.created_ms
            and (end is None or order.created_ms <= end)
            and not self._is_forgotten(order)
        )
        return self._page(params, found, states)

    def _page(
        self, params: Params, orders: Iterable[Order], states: Iterable[StrEnum]
    ) -> list[Json]:
        """A page of `orders` by their ids, those that are in `states` (none given: in any)."""
        kinds, limit = params.choices("ordType", _OrderType), params.limit()
        after, before = params.integer("after"), params.integer("before")
        params.finish()
        newest_first = sorted(orders, key=lambda order: order.order_id, reverse=True)
        chosen = (
            shown
            for order in newest_first
            if (after is None or order.order_id < after)
            and (before is None or order.order_id > before)
            for shown in [self._shown(order)]
            if not states or shown["state"] in states
            if not kinds or shown["ordType"] in kinds
        )
        return list(itertools.islice(chosen, limit))

    def _shown(self, order: Order) -> Json:
        spec = self._instruments.of(order.symbol)
        trades = self._engine.state.trades_of_order(order.order_id)
        return order_shapes.order(spec, order, order.status, order.updated_ms, trades)

    def _named(self, account: str, params: Params) -> Order | None:
        """The order that is meant; where both ids are sent, `ordId` counts."""
        spec = self._instruments.one(params)
        order_id = params.integer("ordId")
        client_id = params.matching("clOrdId", CLIENT_ID)
        if order_id is None and client_id is None:
            raise errors.neither_id()
        named = client_id if order_id is None else None
        return self._engine.state.find(account, spec.name, order_id, named)

    def _is_taken(self, account: str, client_id: str, now_ms: int) -> bool:
        """Whether an order that is open, or ended just now, bears this client order id."""
        latest = (
            self._engine.state.find(account, spec.name, None, client_id)
            for spec in self._instruments.all()
        )
        return any(
            order.status.is_open or now_ms - order.updated_ms <= CLIENT_ID_TAKEN_MS
            for order in latest
            if order is not None
        )

    def _is_forgotten(self, order: Order) -> bool:
        ended_unfilled = not order.status.is_open and not order.executed
        return ended_unfilled and self._exchange.now_ms() - order.updated_ms > CANCELED_KEPT_MS


def _new_order(spec: SymbolSpec, params: Params) -> NewOrder:
    """The order that the parameters ask for. Raises ApiError for any that does not belong to it."""
    if params.required("tdMode") != "cash":
        raise errors.bad_parameter("tdMode")
    params.required("side")
    params.required("ordType")
    side, kind = params.choice("side", _Side), params.choice("ordType", _OrderType)
    assert side is not None, "required above"
    assert kind is not None, "required above"
    client_id = params.matching("clOrdId", CLIENT_ID) or order_shapes.UNNAMED + secrets.token_hex(
        11
    )
    type_, tif = _KINDS[kind]
    params.required("sz")
    size = params.amount("sz") or ZERO
    quantity, cost = _size(size, side, params, is_market=type_ is OrderType.MARKET)
    price = ZERO
    if type_ is not OrderType.MARKET:
        params.required("px")
        price = params.amount("px") or ZERO
    return NewOrder(
        client_order_id=client_id,
        symbol=spec.name,
        side=Side(side.upper()),
        type=type_,
        tif=tif,
        price=price,
        quantity=quantity,
        quote_quantity=cost,
        ends_if_taking=True,
        self_trade=_self_trade(params, tif),
    )


def _self_trade(params: Params, tif: TimeInForce) -> SelfTradeMode:
    """Without `stpMode` own orders may trade with each other, as the account is set up here."""
    wish = params.choice("stpMode", _SelfTrade)
    if wish is _SelfTrade.CANCEL_BOTH and tif is TimeInForce.FOK:
        raise errors.bad_parameter("stpMode")
    return SelfTradeMode.NONE if wish is None else _SELF_TRADE[wish]


def _size(
    size: Decimal, side: _Side, params: Params, *, is_market: bool
) -> tuple[Decimal | None, Decimal | None]:
    """`sz` as a base quantity or as a cost. The unit says something of market orders only."""
    unit = params.choice("tgtCcy", _SizeUnit)
    if not is_market:
        if unit is _SizeUnit.QUOTE:
            raise errors.bad_parameter("tgtCcy")
        return size, None
    usual = _SizeUnit.QUOTE if side is _Side.BUY else _SizeUnit.BASE
    return (None, size) if (unit or usual) is _SizeUnit.QUOTE else (size, None)
