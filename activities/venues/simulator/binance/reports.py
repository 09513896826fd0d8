"""The events of Binance's user-data stream.

Rule: pure functions from committed events to JSON objects. Figures that change (executed totals,
status) come from the event, since the order may have moved on; the rest from the order.
"""

from collections.abc import Iterable
from decimal import Decimal

from activities.venues.simulator.binance.shapes import Json, number, shown_tif, venue_symbol
from activities.venues.simulator.events import Event, OrderAccepted, OrderUpdated, TradeDone
from activities.venues.simulator.orders import ZERO, Order, OrderStatus
from activities.venues.simulator.state import ExchangeState
from activities.venues.simulator.stream_seam import StreamEvent


def account_of(event: Event) -> str | None:
    """Whose event it is; None for events that are nobody's."""
    return event.account if isinstance(event, OrderAccepted | TradeDone | OrderUpdated) else None


def execution_report(state: ExchangeState, event: Event) -> Json | None:
    """The executionReport of an event; None if it makes none."""
    match event:
        case OrderAccepted():
            return _report(state, event, "NEW", OrderStatus.NEW, ZERO, ZERO)
        case TradeDone():
            return _trade(state, event)
        case OrderUpdated(status=OrderStatus.CANCELED | OrderStatus.EXPIRED):
            return _end(state, event)
        case _:
            return None


def delivery(event: Event, report: Json) -> StreamEvent:
    """What the stream's seam is told of an event and the report that it makes."""
    assert isinstance(event, OrderAccepted | TradeDone | OrderUpdated), "only orders are reported"
    return StreamEvent(
        account=event.account,
        kind=report["x"],
        symbol=event.symbol,
        client_order_id=event.client_order_id,
    )


def account_position(state: ExchangeState, events: Iterable[Event], account: str) -> Json:
    """outboundAccountPosition: the balances that the events may have changed."""
    touched: dict[str, None] = {}
    ts_ms = 0
    for event in events:
        if isinstance(event, OrderAccepted | TradeDone | OrderUpdated):
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


def _report(
    state: ExchangeState,
    event: OrderAccepted | TradeDone | OrderUpdated,
    execution: str,
    status: OrderStatus,
    executed: Decimal,
    quote_executed: Decimal,
) -> Json:
    order: Order = state.orders[event.order_id]
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
        "P": number(ZERO),
        "F": number(ZERO),
        "g": -1,
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
        "w": status.is_open,
        "m": False,
        "M": False,
        "O": order.created_ms,
        "Z": number(quote_executed),
        "Y": number(ZERO),
        "Q": number(order.quote_quantity),
        "W": order.created_ms,
        "V": "NONE",
    }
