"""What OKX's private stream pushes: orders and balances.

Rule: pure functions from committed events to JSON objects. Figures that change (state, what is
filled) are those of the event, since the order may have moved on. The fields of the last fill are
told with the fill only.
"""

from collections.abc import Iterable

from activities.venues.simulator.events import Event, OrderAccepted, OrderUpdated, TradeDone
from activities.venues.simulator.okx import order_shapes, shapes
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.orders import OrderStatus
from activities.venues.simulator.state import ExchangeState
from activities.venues.simulator.stream_seam import StreamEvent

OrderEvent = OrderAccepted | TradeDone | OrderUpdated
_ENDED = (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.EXPIRED_IN_MATCH)
_NO_FILL = {
    "fillSz": "0",
    "fillFee": "0",
    **dict.fromkeys(("fillPx", "fillTime", "tradeId", "fillFeeCcy", "execType"), ""),
}


def own_events(events: Iterable[Event], account: str) -> list[OrderEvent]:
    """Those about the orders of one account."""
    return [each for each in events if isinstance(each, OrderEvent) and each.account == account]


def order(state: ExchangeState, event: OrderEvent) -> Json | None:
    """The row of the channel `orders` that an event makes; None if it makes none."""
    match event:
        case OrderAccepted():
            return _row(state, event, OrderStatus.NEW, []) | _NO_FILL
        case TradeDone():
            return _trade(state, event)
        case OrderUpdated(status=status) if status in _ENDED:
            trades = state.trades_of_order(event.order_id)
            return _row(state, event, status, trades) | _NO_FILL
        case _:
            return None


def delivery(event: OrderEvent) -> StreamEvent:
    """What the stream's seam is told of an event that makes a push."""
    match event:
        case OrderAccepted():
            kind = "NEW"
        case TradeDone():
            kind = "TRADE"
        case OrderUpdated(status=OrderStatus.EXPIRED_IN_MATCH):
            kind = OrderStatus.EXPIRED.value
        case OrderUpdated():
            kind = event.status.value
    return StreamEvent(
        account=event.account,
        kind=kind,
        symbol=event.symbol,
        client_order_id=event.client_order_id,
    )


def balances(state: ExchangeState, events: Iterable[OrderEvent], account: str) -> Json:
    """The row of the channel `account`: the balances that the events may have changed."""
    touched: dict[str, None] = {}
    ts_ms = 0
    for event in events:
        spec, ts_ms = state.specs[event.symbol], event.ts_ms
        touched |= {spec.base: None, spec.quote: None}
        if isinstance(event, TradeDone):
            touched[event.fee_asset] = None
    accounts = state.accounts
    rows = [shapes.balance_row(asset, accounts.of(account, asset), ts_ms) for asset in touched]
    return shapes.balance(rows, ts_ms)


def _trade(state: ExchangeState, event: TradeDone) -> Json:
    trades = state.trades_of_order(event.order_id)
    until_then = trades[: trades.index(event) + 1]
    done = event.executed == state.orders[event.order_id].quantity
    status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
    return _row(state, event, status, until_then) | {
        "fillFee": shapes.negative(event.fee),
        "fillFeeCcy": event.fee_asset,
        "execType": "M" if event.maker else "T",
    }


def _row(
    state: ExchangeState, event: OrderEvent, status: OrderStatus, trades: list[TradeDone]
) -> Json:
    found = state.orders[event.order_id]
    row = order_shapes.order(state.specs[event.symbol], found, status, event.ts_ms, trades)
    unused = ("amendResult", "amendSource", "reqId", "msg", "fillNotionalUsd", "notionalUsd")
    return row | {"code": "0", "fillPnl": "0", **dict.fromkeys((*unused, "lastPx"), "")}
