"""How an arbitrage begins: two views judged, and the two legs that follow. Pure functions."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from workflows import ports
from workflows.arbitrage_state import Opening
from workflows.domain.arbitrage_entry import (
    Entry,
    EntryTerms,
    VenueFacts,
    common_lot,
    plan_entry,
)
from workflows.domain.books import Book
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import exact
from workflows.domain.orders import OrderType, Side, TimeInForce
from workflows.execution_messages import ArbitragePlan, PlannedLeg
from workflows.fields import plain
from workflows.leg_order import LegRecord, new_leg
from workflows.messages import OrderRequest
from workflows.plans import planned_leg

_HALF = Decimal("0.5")
_MS = Decimal("0.001")
_MARKET_CAP = Decimal("0.98")
"""A market order is judged at its reference plus 2 %, so less of it fits under the limit."""


def judge_views(
    plan: ArbitragePlan,
    terms: ports.EngineTerms,
    views: tuple[ports.VenueView, ...],
    age_s: Decimal,
) -> Opening | Denied:
    """What can be sent at the books of now, or why nothing is. `age_s`: how old the views are."""
    buy_view, sell_view = views
    buy, sell = _facts(buy_view), _facts(sell_view)
    if isinstance(buy, Denied):
        return replace(buy, field="symbol")
    if isinstance(sell, Denied):
        return replace(sell, field="symbol")
    if denied := _check_times(plan, buy.book, sell.book, age_s):
        return denied
    entry = plan_entry(_terms(plan, terms), buy, sell)
    return entry if isinstance(entry, Denied) else _opening(entry, buy, sell)


def _facts(view: ports.VenueView) -> VenueFacts | Denied:
    if view.instrument is None:
        detail = f"symbol={view.symbol} exchange={view.venue}"
        return Denied(code=DenialCode.UNKNOWN_SYMBOL, detail=detail)
    if view.book is None or view.fees is None or not (view.book.bids and view.book.asks):
        return Denied(code=DenialCode.RISK_STALE_REF, detail=f"book=absent exchange={view.venue}")
    return VenueFacts(
        instrument=view.instrument,
        book=view.book,
        taker_fee=view.fees.taker,
        buys_pay_base=view.fees.buys_pay_base,
        free_base=view.free.get(view.instrument.base, Decimal(0)),
        free_quote=view.free.get(view.instrument.quote, Decimal(0)),
    )


def _check_times(plan: ArbitragePlan, buy: Book, sell: Book, age_s: Decimal) -> Denied | None:
    if age_s > plan.max_age:
        return Denied(
            code=DenialCode.STALE_BOOK,
            detail=f"age_s={plain(age_s)} max_age={plain(plan.max_age)}",
        )
    skew_s = abs(buy.read_at_ms - sell.read_at_ms) * _MS
    if skew_s > plan.max_skew:
        return Denied(
            code=DenialCode.BOOK_SKEW,
            detail=f"skew_s={plain(skew_s)} max_skew={plain(plan.max_skew)}",
        )
    return None


def _terms(plan: ArbitragePlan, terms: ports.EngineTerms) -> EntryTerms:
    buy, sell = planned_leg(plan, Side.BUY), planned_leg(plan, Side.SELL)
    is_market = _is_market(buy) or _is_market(sell)
    cap = terms.max_order_value
    return EntryTerms(
        amount=plan.amount,
        buy_price=plan.buy_price,
        sell_price=plan.sell_price,
        buy_limit=buy.price if buy else None,
        sell_limit=sell.price if sell else None,
        limit_tolerance=plan.limit_tolerance,
        slippage_tolerance=plan.slippage_tolerance,
        buy_slippage=buy.slippage_t if buy else None,
        sell_slippage=sell.slippage_t if sell else None,
        min_profit=plan.min_profit,
        min_profit_worst=plan.min_profit_worst,
        max_loss_bps=plan.max_loss_bps,
        max_notional=cap * _MARKET_CAP if cap is not None and is_market else cap,
        buy_is_market=_is_market(buy),
        sell_is_market=_is_market(sell),
    )


def _is_market(leg: PlannedLeg | None) -> bool:
    return leg is not None and leg.type is OrderType.MARKET


def _opening(entry: Entry, buy: VenueFacts, sell: VenueFacts) -> Opening:
    buy_mid, sell_mid = _middle(buy.book), _middle(sell.book)
    least = max(_smallest(buy, buy_mid), _smallest(sell, sell_mid))
    with exact():
        dust = least + abs(entry.buy_quantity - entry.sell_quantity)
    return Opening(
        buy_quantity=entry.buy_quantity,
        sell_quantity=entry.sell_quantity,
        buy_limit=entry.buy_limit,
        sell_limit=entry.sell_limit,
        lot=common_lot(buy.instrument, sell.instrument),
        expected_net=entry.expected_net,
        worst_net=entry.worst_net,
        harder=entry.harder,
        dust=dust,
        buy_reference=buy_mid,
        sell_reference=sell_mid,
    )


def _middle(book: Book) -> Decimal:
    with exact():
        return (book.bids[0].price + book.asks[0].price) * _HALF


def _smallest(facts: VenueFacts, price: Decimal) -> Decimal:
    """The smallest quantity that this venue trades at this price, roughly."""
    rules = facts.instrument
    return max(rules.step, rules.min_quantity, rules.min_notional / price)


def opening_leg(
    execution_id: str,
    plan: ArbitragePlan,
    opening: Opening,
    side: Side,
    deadline: datetime,
    *,
    name: str | None = None,
    quantity: Decimal | None = None,
) -> LegRecord:
    """One leg of the pair; with a name and quantity of its own when it is sized by the other."""
    limit = opening.limit(side)
    request = OrderRequest(
        strategy_id=plan.strategy_id,
        account=plan.account,
        exchange=plan.buy_exchange if side is Side.BUY else plan.sell_exchange,
        symbol=plan.symbol,
        side=side,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        quantity=opening.quantity(side) if quantity is None else quantity,
        price=limit,
        time_in_force=TimeInForce(plan.leg_time_in_force) if limit else TimeInForce.GTC,
        priority=plan.priority,
    )
    return new_leg(
        execution_id,
        name or side.value,
        request,
        reference_price=opening.reference(side),
        expires_at=deadline,
        compensates=execution_id if name else None,
    )
