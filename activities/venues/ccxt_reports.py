"""Turns ccxt's dictionaries into the engine's reports, believing nothing.

Every number must be finite and of the right sign, every text present; anything else raises
UnreadableAnswerError, never KeyError. ccxt runs with `number = str`, so the digits are the
venue's own. It must not know how the answers were fetched.
"""

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from activities.venues.ccxt_fields import (
    UnreadableAnswerError,
    decimal_or_none,
    mapping,
    milliseconds,
    number,
    positive,
    text,
)
from activities.venues.gateway import VenueOrder, VenueTrade
from workflows.domain.fees import Fees
from workflows.domain.orders import Side
from workflows.domain.reports import ExecutionReport, Fill, VenueStatus

# ccxt's unified words; a venue's word that ccxt does not know comes through as it is.
_STATUS: Mapping[str, VenueStatus] = MappingProxyType(
    {
        "open": VenueStatus.OPEN,
        "canceling": VenueStatus.OPEN,
        "closed": VenueStatus.FILLED,
        "canceled": VenueStatus.CANCELLED,
        "expired": VenueStatus.EXPIRED,
        "rejected": VenueStatus.REJECTED,
    }
)

# A stop that becomes a market order has a trigger, and no price.
_PRICED_BY_MARKET = frozenset({"market", "stop_loss", "take_profit"})


def now_ms() -> int:
    """This machine's clock, ms since the epoch."""
    return time.time_ns() // 1_000_000


def require_told(order: Any, names: frozenset[str], blank: frozenset[str] = frozenset()) -> None:
    """The venue's own answer behind a ccxt order must tell each of `names`, and of `blank` at
    least that there is none."""
    told = mapping(mapping(order).get("info"))
    missing = sorted(name for name in names if told.get(name) in (None, "", []))
    missing += sorted(name for name in blank if told.get(name) is None)
    if missing:
        raise UnreadableAnswerError(f"an order without {', '.join(missing)}")


def acknowledgement(order: Any, client_order_id: str) -> ExecutionReport:
    """The report of an order whose venue says only that it took it: open, as far as is known."""
    fields = mapping(order)
    return ExecutionReport(
        client_order_id=client_order_id,
        venue_order_id=text(fields, "id"),
        status=VenueStatus.OPEN,
        executed_quantity=Decimal(0),
        venue_time_ms=_order_time_ms(fields),
    )


def execution_report(
    order: Any, client_order_id: str | None, fills: tuple[Fill, ...] = ()
) -> ExecutionReport:
    """The report of a ccxt order; `client_order_id` is our canonical id, None for others'."""
    fields = mapping(order)
    status, executed = _status(fields), number(fields, "filled", at_least=Decimal(0))
    if status is VenueStatus.FILLED and executed == 0:
        raise UnreadableAnswerError("filled without a quantity")
    ordered = decimal_or_none(fields.get("amount"))
    if ordered is not None and executed > ordered:
        raise UnreadableAnswerError("executed more than was ordered")
    return ExecutionReport(
        client_order_id=client_order_id,
        venue_order_id=text(fields, "id"),
        status=status,
        executed_quantity=executed,
        fills=fills,
        venue_time_ms=_order_time_ms(fields),
    )


def venue_order(
    order: Any, symbol: str, client_order_id: str | None, fills: tuple[Fill, ...] = ()
) -> VenueOrder:
    """A ccxt order of the account in `symbol`."""
    fields = mapping(order)
    is_market = fields.get("type") in _PRICED_BY_MARKET
    # somebody's market order for an amount of money has no quantity but what it executed
    is_of_quantity = not is_market or fields.get("amount") is not None
    return VenueOrder(
        symbol=symbol,
        side=_side(fields),
        quantity=number(fields, "amount" if is_of_quantity else "filled", at_least=Decimal(0)),
        price=None if is_market else number(fields, "price", at_least=Decimal(0)),
        report=execution_report(fields, client_order_id, fills),
    )


def answered_fills(order: Any, fee_asset: str) -> tuple[Fill, ...]:
    """The fills inside the answer to a submission; they carry no time, so the order's is taken."""
    fields = mapping(order)
    trades = fields.get("trades") or []
    if not isinstance(trades, Sequence):
        raise UnreadableAnswerError("fills are not a list")
    traded_at_ms = _order_time_ms(fields)
    return tuple(fill(trade, fee_asset, otherwise_ms=traded_at_ms) for trade in trades)


def fill(trade: Any, fee_asset: str, *, otherwise_ms: int | None = None) -> Fill:
    """One ccxt trade of the account. `fee_asset` names the asset of a fee of zero without one;
    `otherwise_ms` is the time of a trade without one."""
    fields = mapping(trade)
    fee_fields = mapping(fields.get("fee"))
    fee = number(fee_fields, "cost")
    named = fee_fields.get("currency")
    if not named and fee != 0:
        raise UnreadableAnswerError("a fee without its asset")
    traded_at = fields.get("timestamp")
    if traded_at is None:
        traded_at = otherwise_ms
    return Fill(
        trade_id=text(fields, "id"),
        price=positive(fields, "price"),
        quantity=positive(fields, "amount"),
        fee=fee,
        fee_asset=str(named or fee_asset),
        # The answer to a submission does not say it: what fills at once was the taker.
        is_maker=fields.get("takerOrMaker") == "maker",
        traded_at_ms=milliseconds(traded_at),
    )


def venue_trade(
    trade: Any, symbol: str, fee_asset: str, *, is_read_by_time: bool = False
) -> VenueTrade:
    """One ccxt trade of the account with its order's id.

    One whose figures cannot be right is told as a fill of nothing, which no ledger books: then it
    can be set aside by its name, where an unreadable one would hide all that come after it.
    """
    fields = mapping(trade)
    told = _nothing(fields, fee_asset) if _is_impossible(fields) else fill(fields, fee_asset)
    return VenueTrade(
        symbol=symbol,
        venue_order_id=text(fields, "order"),
        side=_side(fields),
        fill=told,
        cursor=str(told.traded_at_ms) if is_read_by_time else told.trade_id,
    )


def _is_impossible(trade: Mapping[str, Any]) -> bool:
    """A price or quantity that is none, or a fee that is told and no number.

    A fee that is not told may yet come: the trade is unreadable until then.
    """
    fee = trade.get("fee")
    cost = fee.get("cost") if isinstance(fee, Mapping) else None
    figures = (trade.get("price"), trade.get("amount"))
    return any((decimal_or_none(each) or Decimal(0)) <= 0 for each in figures) or (
        cost is not None and decimal_or_none(cost) is None
    )


def _nothing(trade: Mapping[str, Any], fee_asset: str) -> Fill:
    return Fill(
        trade_id=text(trade, "id"),
        price=Decimal(0),
        quantity=Decimal(0),
        fee=Decimal(0),
        fee_asset=fee_asset,
        is_maker=False,
        traded_at_ms=milliseconds(trade.get("timestamp")),
    )


def fees(answer: Any, *, buys_pay_base: bool) -> Fees:
    """The rates of a ccxt fee structure; none is as high as the whole trade."""
    fields = mapping(answer)
    maker, taker = _rate(fields, "maker"), _rate(fields, "taker")
    return Fees(maker=maker, taker=taker, buys_pay_base=buys_pay_base)


def balances(answer: Any) -> dict[str, Decimal]:
    """Total by asset of a ccxt balance, zeros left out."""
    return _amounts(mapping(answer).get("total"))


def free_balances(answer: Any) -> dict[str, Decimal]:
    """What no order has locked, by asset of a ccxt balance, zeros left out."""
    return _amounts(mapping(answer).get("free"))


def symbol(entry: Any) -> str:
    """The symbol of a ccxt order or trade."""
    return text(mapping(entry), "symbol")


def client_id_text(order: Any) -> str | None:
    """The client order id of a ccxt order as the venue gives it."""
    told = mapping(order).get("clientOrderId")
    return told if isinstance(told, str) else None


def time_ms(answer: Any) -> int:
    """The venue's clock as ccxt gives it."""
    return milliseconds(answer)


def _status(fields: Mapping[str, Any]) -> VenueStatus:
    word = fields.get("status")
    if not isinstance(word, str) or word not in _STATUS:
        raise UnreadableAnswerError("unknown order status")
    return _STATUS[word]


def _side(fields: Mapping[str, Any]) -> Side:
    word = fields.get("side")
    if word not in {Side.BUY.value, Side.SELL.value}:
        raise UnreadableAnswerError("no side")
    return Side(word)


def _order_time_ms(fields: Mapping[str, Any]) -> int:
    for name in ("lastUpdateTimestamp", "lastTradeTimestamp", "timestamp"):
        if fields.get(name) is not None:
            return milliseconds(fields[name])
    return now_ms()  # some venues acknowledge without a time


def _amounts(by_asset: Any) -> dict[str, Decimal]:
    told = mapping(by_asset)
    amounts = {str(asset): number(told, asset, at_least=Decimal(0)) for asset in told}
    return {asset: amount for asset, amount in amounts.items() if amount != 0}


def _rate(fields: Mapping[str, Any], name: str) -> Decimal:
    rate = number(fields, name)
    if abs(rate) >= 1:
        raise UnreadableAnswerError(f"a {name} fee of {rate}")
    return rate + 0  # never -0, which ccxt makes of a zero whose sign it turns
