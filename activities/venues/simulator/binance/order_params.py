"""What the parameters of a request ask for: one order, or two of which one cancels the other.

Rule: a parameter is read where the type of the order has a use for it, and nowhere else, so that
any other is refused. The parameters of a list's orders are those of a single one behind the word
`above` or `below`. Checks no price or quantity: the venue's filters do.
"""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum

from activities.venues.simulator.binance import errors
from activities.venues.simulator.binance.errors import CLIENT_ID_RANGE
from activities.venues.simulator.binance.params import Params
from activities.venues.simulator.orders import (
    ZERO,
    NewOrder,
    NewOrderList,
    OrderType,
    SelfTradeMode,
    Side,
    TimeInForce,
)
from activities.venues.simulator.refusals import Reason
from activities.venues.simulator.specs import SymbolSpec

ABOVE, BELOW = "above", "below"
_WITHOUT_TIF = frozenset({OrderType.MARKET, OrderType.LIMIT_MAKER})
_ELSEWHERE_ALLOWED = ("DECREMENT", "TRANSFER")  # modes that no symbol here allows
_STOPS = frozenset({OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT})
# Where an order of a list must stand, by its side and kind: the code, and Binance's words.
_PLACES: Mapping[tuple[Side, str], tuple[int, str]] = {
    (Side.BUY, "limit"): (-1165, BELOW),
    (Side.SELL, "limit"): (-1166, ABOVE),
    (Side.BUY, "stop loss"): (-1196, ABOVE),
    (Side.SELL, "stop loss"): (-1197, BELOW),
    (Side.BUY, "take profit"): (-1198, BELOW),
    (Side.SELL, "take profit"): (-1199, ABOVE),
}


class ResponseType(StrEnum):
    """How much an answer to a new order says."""

    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


def response_type(params: Params, *kinds: OrderType) -> ResponseType:
    """What is asked for; without a wish, FULL for plain limit and market orders and else ACK."""
    wish = params.choice("newOrderRespType", ResponseType, errors.bad_value("newOrderRespType"))
    plain = all(kind in (OrderType.LIMIT, OrderType.MARKET) for kind in kinds)
    return wish or (ResponseType.FULL if plain else ResponseType.ACK)


def random_id() -> str:
    """A client order id for whoever sent none."""
    return secrets.token_hex(11)


def new_order(spec: SymbolSpec, params: Params) -> NewOrder:
    """The order that the parameters ask for; raises ApiError for any that does not belong to it."""
    for name in ("side", "type"):
        params.required(name)
    side, kind = _side(params), _kind(params, "type")
    client_id = params.matching("newClientOrderId", CLIENT_ID_RANGE) or random_id()
    cost = params.amount("quoteOrderQty") if kind is OrderType.MARKET else None
    quantity = params.amount("quantity")
    if quantity is not None and cost is not None:
        raise errors.bad_combination()
    if quantity is None and cost is None:
        raise errors.missing("quantity")
    reader = _Terms(spec, side, params, "")
    order = reader.order(kind, client_id, quantity, cost)
    return replace(order, self_trade=_self_trade(params))


def new_list(spec: SymbolSpec, params: Params) -> NewOrderList:
    """The two orders that the parameters ask for; raises ApiError as above."""
    for name in ("side", "quantity", "aboveType", "belowType"):
        params.required(name)
    side, quantity = _side(params), params.amount("quantity")
    kinds = {leg: _kind(params, leg + "Type") for leg in (ABOVE, BELOW)}
    _check_places(side, kinds)
    list_id = params.matching("listClientOrderId", CLIENT_ID_RANGE) or random_id()
    legs: dict[str, NewOrder] = {}
    for leg, kind in kinds.items():
        client_id = params.matching(leg + "ClientOrderId", CLIENT_ID_RANGE) or random_id()
        terms = _Terms(spec, side, params, leg).order(kind, client_id, quantity, None)
        legs[leg] = replace(terms, self_trade=_self_trade(params))
    return NewOrderList(client_order_id=list_id, above=legs[ABOVE], below=legs[BELOW])


class _Terms:
    """Reads what belongs to one type of order; `leg` goes before the names, if there is one."""

    def __init__(self, spec: SymbolSpec, side: Side, params: Params, leg: str) -> None:
        self._spec, self._side, self._params, self._leg = spec, side, params, leg

    def order(
        self, kind: OrderType, client_id: str, quantity: Decimal | None, cost: Decimal | None
    ) -> NewOrder:
        tif = self._time_in_force(kind)
        stop_price, trailing_delta = self._trigger() if kind.is_contingent else (ZERO, 0)
        return NewOrder(
            client_order_id=client_id,
            symbol=self._spec.name,
            side=self._side,
            type=kind,
            tif=tif,
            price=self._price() if kind.has_limit else ZERO,
            quantity=quantity,
            quote_quantity=cost,
            stop_price=stop_price,
            trailing_delta=trailing_delta,
            iceberg_quantity=self._iceberg(tif) if kind.has_limit else ZERO,
        )

    def _name(self, field: str) -> str:
        return self._leg + field[0].upper() + field[1:] if self._leg else field

    def _time_in_force(self, kind: OrderType) -> TimeInForce:
        if not kind.has_limit or kind in _WITHOUT_TIF:
            return TimeInForce.GTC
        name = self._name("timeInForce")
        self._params.required(name)
        found = self._params.choice(name, TimeInForce, errors.bad_time_in_force())
        return found or TimeInForce.GTC

    def _price(self) -> Decimal:
        name = self._name("price")
        self._params.required(name)
        return self._params.amount(name) or ZERO

    def _trigger(self) -> tuple[Decimal, int]:
        names = (self._name("stopPrice"), self._name("trailingDelta"))
        price, delta = self._params.amount(names[0]), self._params.integer(names[1])
        if price is None and delta is None:
            raise errors.neither_sent(*names)
        if price == ZERO:
            raise errors.of_refusal(Reason.PRICE_FILTER)
        if delta == 0:
            raise errors.of_refusal(Reason.TRAILING_DELTA)
        return price or ZERO, delta or 0

    def _iceberg(self, tif: TimeInForce) -> Decimal:
        name = self._name("icebergQty")
        shown = self._params.amount(name)
        if shown is None:
            return ZERO
        if shown == ZERO:
            raise errors.of_refusal(Reason.LOT_SIZE)
        if tif is not TimeInForce.GTC:
            if self._leg:
                raise errors.iceberg_needs_gtc(name, self._name("timeInForce"))
            raise errors.unsupported_combination()
        return shown


def _self_trade(params: Params) -> SelfTradeMode:
    name = "selfTradePreventionMode"
    if params.text(name) in _ELSEWHERE_ALLOWED:
        raise errors.self_trade_mode_not_allowed()
    return params.choice(name, SelfTradeMode, errors.bad_value(name)) or SelfTradeMode.NONE


def _side(params: Params) -> Side:
    side = params.choice("side", Side, errors.bad_side())
    assert side is not None, "required before"
    return side


def _kind(params: Params, name: str) -> OrderType:
    kind = params.choice(name, OrderType, errors.bad_order_type())
    assert kind is not None, "required before"
    return kind


def _check_places(side: Side, kinds: Mapping[str, OrderType]) -> None:
    if any(kind in (OrderType.LIMIT, OrderType.MARKET) for kind in kinds.values()):
        raise errors.not_in_list()
    if not any(kind.is_contingent for kind in kinds.values()):
        raise errors.none_contingent()
    for leg, kind in kinds.items():
        what = "limit"
        if kind.is_contingent:
            what = "stop loss" if kind in _STOPS else "take profit"
        code, place = _PLACES[side, what]
        if leg != place:
            raise errors.misplaced_in_list(code, what, side.lower(), place)
