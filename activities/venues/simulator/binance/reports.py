"""The events of Binance's user-data stream.

Rule: pure functions from committed events to JSON objects. Figures that change (executed totals,
status) come from the event, since the order may have moved on; the rest from the order.
"""

from collections.abc import Iterable
from decimal import Decimal

from activities.venues.simulator.binance.order_shapes import shown_tif
from activities.venues.simulator.binance.shapes import Json, number, venue_symbol
from activities.venues.simulator.events import (
    Event,
    OrderAccepted,
    OrderListEnded,
    OrderListOpened,
    OrderTriggered,
    OrderUpdated,
    TradeDone,
)
from activities.venues.simulator.orders import ZERO, Order, OrderStatus
from activities.venues.simulator.state import ExchangeState
from activities.venues.simulator.stream_seam import StreamEvent

_OfOrder = OrderAccepted | OrderTriggered | TradeDone | OrderUpdated
_OfList = OrderListOpened | OrderListEnded
_IN_MATCH = "TRADE_PREVENTION"
_KINDS = {_IN_MATCH: OrderStatus.EXPIRED.value}  # the seam's words, where they are not Binance's
_LIST = "LIST"  # how the seam calls the status of a list, which has no execution type


def account_of(event: Event) -> str | None:
    """Whose event it is; None for events that are nobody's."""
    return event.account if isinstance(event, _OfOrder | _OfList) else None


def report_of(state: ExchangeState, event: Event) -> Json | None:
    """The executionReport or listStatus of an event; None if it makes none."""
    match event:
        case OrderAccepted():
            return _report(state, event, "NEW", OrderStatus.NEW, ZERO, ZERO)
        case OrderTriggered():
            return _report(state, event, "NEW", OrderStatus.NEW, ZERO, ZERO)
        case TradeDone():
            return _trade(state, event)
        case OrderUpdated(status=OrderStatus.CANCELED | OrderStatus.EXPIRED):
            return _end(state, event)
        case OrderUpdated(status=OrderStatus.EXPIRED_IN_MATCH):
            return _end_in_match(state, event)
        case OrderListOpened():
            return _list_status(state, event, "EXEC_STARTED", "EXECUTING")
        case OrderListEnded():
            return _list_status(state, event, "ALL_DONE", "ALL_DONE")
        case _:
            return None


def delivery(event: Event, report: Json) -> StreamEvent:
    """What the stream's seam is told of an event and the report that it makes."""
    assert isinstance(event, _OfOrder | _OfList), "only orders and their lists are reported"
    return StreamEvent(
        account=event.account,
        kind=_KINDS.get(report.get("x", _LIST), report.get("x", _LIST)),
        symbol=event.symbol,
        client_order_id=event.client_order_id,
    )


def account_position(state: ExchangeState, events: Iterable[Event], account: str) -> Json:
    """outboundAccountPosition: the balances that the events may have changed."""
    touched: dict[str, None] = {}
    ts_ms = 0
    for event in events:
        if isinstance(event, _OfOrder):
            spec = state.specs[event.symbol]
            touched |= {spec.base: None, spec.quote: None}
            if isinstance(event, TradeDone):
                touched[event.fee_asset] = None
            ts_ms = event.ts_ms
    balances = [
        {"a": asset, "f": number(balance.free), "l": number(balance.locked)}
        for asset in touched
        for balance in [state.accounts.of(account, asset)]
    ]
    return {"e": "outboundAccountPosition", "E": ts_ms, "u": ts_ms, "B": balances}


def _trade(state: ExchangeState, event: TradeDone) -> Json:
    done = event.executed == state.orders[event.order_id].quantity
    status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
    report = _report(state, event, "TRADE", status, event.executed, event.quote_executed)
    return report | {
        "l": number(event.quantity),
        "L": number(event.price),
        "Y": number(event.price * event.quantity),
        "n": number(event.fee),
        "N": event.fee_asset,
        "t": event.trade_id,
        "m": event.maker,
    }


def _end(state: ExchangeState, event: OrderUpdated) -> Json:
    order = state.orders[event.order_id]
    what, quote = event.status.value, order.quote_executed
    report = _report(state, event, what, event.status, event.executed, quote)
    if event.cancel_id:
        report |= {"c": event.cancel_id, "C": event.client_order_id}
    return report


def _end_in_match(state: ExchangeState, event: OrderUpdated) -> Json:
    order, match = state.orders[event.order_id], state.prevented_of(event.order_id)[-1]
    is_taker = match.taker_order_id == order.order_id
    quote = order.quote_executed
    return _report(state, event, _IN_MATCH, event.status, event.executed, quote) | {
        "v": match.match_id,
        "A": number(order.prevented),
        "B": number(order.prevented),
        "U": match.maker_order_id if is_taker else match.taker_order_id,
        "Cs": venue_symbol(state.specs[order.symbol]),
        "pl": number(match.quantity),
        "pL": number(match.price),
        "pY": number(match.quantity * match.price),
    }


def _report(
    state: ExchangeState,
    event: _OfOrder,
    execution: str,
    status: OrderStatus,
    executed: Decimal,
    quote_executed: Decimal,
) -> Json:
    order = state.orders[event.order_id]
    return {
        "e": "executionReport",
        "E": event.ts_ms,
        "s": venue_symbol(state.specs[order.symbol]),
        "c": order.client_order_id,
        "S": order.side.value,
        "o": order.type.value,
        "f": shown_tif(order),
        "q": number(order.quantity),
        "p": number(order.price),
        "P": number(order.stop_price),
        "F": number(order.iceberg_quantity),
        "g": order.list_id,
        "C": "",
        "x": execution,
        "X": status.value,
        "r": "NONE",
        "i": order.order_id,
        "l": number(ZERO),
        "z": number(executed),
        "L": number(ZERO),
        "n": "0",
        "N": None,
        "T": event.ts_ms,
        "t": -1,
        "I": 0,
        "w": status.is_open and _works(order, event),
        "m": False,
        "M": False,
        "O": order.created_ms,
        "Z": number(quote_executed),
        "Y": number(ZERO),
        "Q": number(order.quote_quantity),
        "V": order.self_trade.value,
        **_times(order, event),
    }


def _works(order: Order, event: _OfOrder) -> bool:
    """Whether the order worked when this happened: its acceptance may be told after its trigger."""
    waited = order.type.is_contingent and isinstance(event, OrderAccepted)
    return order.working_ms is not None and not waited


def _times(order: Order, event: _OfOrder) -> Json:
    """Fields that come under conditions: `W` while it works, `d` and `D` of trailing orders."""
    found: Json = {}
    if _works(order, event):
        found["W"] = order.working_ms
    if order.trailing_delta:
        found["d"] = order.trailing_delta
        if order.following_ms is not None:
            found["D"] = order.following_ms
    return found


def _list_status(state: ExchangeState, event: _OfList, kind: str, status: str) -> Json:
    symbol = venue_symbol(state.specs[event.symbol])
    orders = [state.orders[each] for each in state.lists[event.list_id].order_ids]
    return {
        "e": "listStatus",
        "E": event.ts_ms,
        "s": symbol,
        "g": event.list_id,
        "c": "OCO",
        "l": kind,
        "L": status,
        "r": "NONE",
        "C": event.client_order_id,
        "T": event.ts_ms,
        "O": [{"s": symbol, "i": each.order_id, "c": each.client_order_id} for each in orders],
    }
