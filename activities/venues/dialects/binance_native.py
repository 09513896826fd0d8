"""Orders that Binance works by itself: icebergs, stops, take-profits and trailing stops.

They are sent in the venue's own words, every value as text: ccxt drops other kinds of numbers
from parameters without a word, and a stop without its trigger is a plain order. So an intent that
lacks what its type needs, or carries what its type has no place for, is refused before it is
sent. It must not know other venues.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import ccxt

from activities.venues.dialects import binance_lists as lists
from activities.venues.dialects.native_row import NativeOrders, NativeRules
from activities.venues.dialects.row import CcxtOrder
from workflows.domain.instruments import Native, PercentPrice, TrailingBounds
from workflows.domain.orders import ChildIntent, ChildType, Side, TimeInForce

_LIMITED = frozenset({ChildType.STOP_LOSS_LIMIT, ChildType.TAKE_PROFIT_LIMIT})
_TRIGGERED = _LIMITED | {ChildType.STOP_LOSS, ChildType.TAKE_PROFIT}
_STOP_TYPES = frozenset(each.value.upper() for each in _TRIGGERED)
_OCO_TYPES = frozenset({"LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT"})


def rules(entry: Mapping[str, Any]) -> NativeRules:
    """What the venue works by itself in a symbol, by its entry in the list of symbols."""
    filters = {each["filterType"]: each for each in entry.get("filters", ())}
    types = frozenset(entry.get("orderTypes", ()))
    parts = filters.get("ICEBERG_PARTS", {}).get("limit")
    trailing = filters.get("TRAILING_DELTA")
    works = {
        Native.ICEBERG: entry.get("icebergAllowed") is True and parts is not None,
        Native.STOP: types >= _STOP_TYPES,
        Native.TRAILING: entry.get("allowTrailingStop") is True
        and trailing is not None
        and types >= _STOP_TYPES,
        Native.OCO: entry.get("ocoAllowed") is True and types >= _OCO_TYPES,
    }
    return NativeRules(
        natives=tuple(native for native, does in works.items() if does),
        iceberg_parts=int(parts) if works[Native.ICEBERG] else None,
        trailing_above=_bounds(trailing, "Above") if works[Native.TRAILING] else None,
        trailing_below=_bounds(trailing, "Below") if works[Native.TRAILING] else None,
        percent_price=_percent_price(filters),
    )


def _percent_price(filters: Mapping[str, Any]) -> PercentPrice | None:
    """Symbols have one of two filters, or none."""
    sides = filters.get("PERCENT_PRICE_BY_SIDE")
    if sides is not None:
        return PercentPrice(
            buy_least=Decimal(sides["bidMultiplierDown"]),
            buy_most=Decimal(sides["bidMultiplierUp"]),
            sell_least=Decimal(sides["askMultiplierDown"]),
            sell_most=Decimal(sides["askMultiplierUp"]),
        )
    both = filters.get("PERCENT_PRICE")
    if both is None:
        return None
    least, most = Decimal(both["multiplierDown"]), Decimal(both["multiplierUp"])
    return PercentPrice(buy_least=least, buy_most=most, sell_least=least, sell_most=most)


def _bounds(trailing: Any, side: str) -> TrailingBounds:
    return TrailingBounds(
        least=int(trailing[f"minTrailing{side}Delta"]),
        most=int(trailing[f"maxTrailing{side}Delta"]),
    )


async def send(
    client: Any, intent: ChildIntent, rendered_id: str, params: Mapping[str, Any]
) -> CcxtOrder:
    """Send one native order and read the answer. ccxt's InvalidOrder before anything is sent."""
    market = client.market(intent.symbol)
    common = {"symbol": market["id"], **params, "newOrderRespType": "FULL"}
    if intent.child_type is ChildType.OCO:
        asked = {**common, **_oco(intent, rendered_id)}
        return lists.of_answer(client, await client.private_post_orderlist_oco(asked), market)
    asked = {**common, **_single(intent), "newClientOrderId": rendered_id}
    order: CcxtOrder = client.parse_order(await client.private_post_order(asked), market)
    return order


def _single(intent: ChildIntent) -> dict[str, str]:
    is_limit = intent.child_type in _LIMITED or intent.child_type is ChildType.LIMIT
    _need(intent.child_type is not ChildType.MARKET, "a market order hides and awaits nothing")
    _need((intent.price is not None) == is_limit, "a limit price exactly where the type has one")
    _need(intent.time_in_force is TimeInForce.GTC, "a native order that does not rest")
    _need(intent.stop_limit_price is None, "the limit of a stop leg without an OCO")
    asked = {
        "side": intent.side.value.upper(),
        "type": _type(intent),
        "quantity": _text(intent.quantity),
    }
    if intent.price is not None:
        asked["price"] = _text(intent.price)
        if asked["type"] != "LIMIT_MAKER":
            asked["timeInForce"] = intent.time_in_force.value
    asked |= _trigger(intent, is_needed=intent.child_type in _TRIGGERED)
    if intent.display_quantity is not None:
        _need(is_limit, "only limit orders hide a part")
        asked["icebergQty"] = _text(intent.display_quantity)
    return asked


def _type(intent: ChildIntent) -> str:
    if intent.post_only:
        _need(intent.child_type is ChildType.LIMIT, "post-only with a trigger")
        return "LIMIT_MAKER"
    return intent.child_type.value.upper()


def _trigger(intent: ChildIntent, *, is_needed: bool) -> dict[str, str]:
    asked: dict[str, str] = {}
    if intent.trigger_price is not None:
        asked["stopPrice"] = _text(intent.trigger_price)
    if intent.trailing_delta_bps is not None:
        asked["trailingDelta"] = str(intent.trailing_delta_bps)
    _need(bool(asked) == is_needed, "a trigger exactly where the type has one")
    return asked


def _oco(intent: ChildIntent, rendered_id: str) -> dict[str, str]:
    """The two legs by where they lie: a sell takes its profit above and stops below."""
    _need(intent.price is not None, "an OCO without its limit price")
    _need(intent.display_quantity is None, "an OCO that hides a part")
    limit = {"Type": "LIMIT_MAKER", "Price": _text(intent.price)}
    stop = {"Type": "STOP_LOSS"}
    for name, value in _trigger(intent, is_needed=True).items():
        stop[name[0].upper() + name[1:]] = value
    if intent.stop_limit_price is not None:
        stop |= {
            "Type": "STOP_LOSS_LIMIT",
            "Price": _text(intent.stop_limit_price),
            "TimeInForce": TimeInForce.GTC.value,
        }
    above, below = (limit, stop) if intent.side is Side.SELL else (stop, limit)
    return {
        "side": intent.side.value.upper(),
        "quantity": _text(intent.quantity),
        "listClientOrderId": rendered_id,
        "aboveClientOrderId": rendered_id + lists.ABOVE,
        "belowClientOrderId": rendered_id + lists.BELOW,
        **{f"above{name}": value for name, value in above.items()},
        **{f"below{name}": value for name, value in below.items()},
    }


def _text(number: Decimal | None) -> str:
    return format(number or Decimal(0), "f")


def _need(is_so: bool, what: str) -> None:
    if not is_so:
        raise ccxt.InvalidOrder(f"refused here: {what}")


NATIVE = NativeOrders(rules=rules, send=send, look_up_list=lists.look_up)
