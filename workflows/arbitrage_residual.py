"""What to do about a residual, from views of both venues. Pure functions.

A long residual is sold: completed at the sell venue, or unwound at the buy venue. A short one is
bought: completed at the buy venue, or unwound at the sell venue.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from workflows import ports
from workflows.domain.arbitrage_profit import Marks, Profit
from workflows.domain.books import Book
from workflows.domain.compensation import Action, Choice, HedgeVenue, bound_price, choose
from workflows.domain.exact import exact, times, whole_steps
from workflows.domain.instruments import Instrument
from workflows.domain.orders import OrderType, Side, TimeInForce
from workflows.execution_messages import ArbitragePlan, CompensationView
from workflows.fields import plain
from workflows.leg_order import LegRecord, new_leg
from workflows.messages import OrderRequest

_FLATTEN_THROUGH = Decimal("0.015")
"""How far through the touch a compensation may trade: inside the price collar of 2 %."""
_FROM_THE_MIDDLE = Decimal("0.019")
"""How far from the middle: what the collar leaves for a middle that moves meanwhile."""
_HALF = Decimal("0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A residual (long > 0), its all-in unit cost or proceeds, and what could be done about it."""

    residual: Decimal
    unit: Decimal
    complete: ports.VenueView
    unwind: ports.VenueView
    choice: Choice
    refused: tuple[Action, ...] = ()

    @property
    def side(self) -> Side:
        """The side of an order that reduces the residual."""
        return Side.SELL if self.residual > 0 else Side.BUY

    def venue(self, action: Action) -> ports.VenueView:
        """Where an action trades."""
        return self.complete if action is Action.COMPLETE else self.unwind


def look_at(
    plan: ArbitragePlan,
    now: Profit,
    views: tuple[ports.VenueView, ...],
    refused: tuple[Action, ...],
) -> Look | None:
    """Choose for the residual of now; None while the books or rules of both venues are missing.

    A venue that does not tell its market has nothing for us, which must not stop the other one.
    `refused` are actions that have just failed without a fill.
    """
    buy, sell = views
    is_long = now.residual > 0
    complete, unwind = (sell, buy) if is_long else (buy, sell)
    unit = now.unit_cost if is_long else now.unit_proceeds
    completing = _hedge(complete, is_long=is_long, is_refused=Action.COMPLETE in refused)
    unwinding = _hedge(unwind, is_long=is_long, is_refused=Action.UNWIND in refused)
    known = completing or unwinding
    if known is None:
        return None
    absent = replace(known, levels=())
    return Look(
        residual=now.residual,
        unit=unit,
        complete=complete,
        unwind=unwind,
        choice=choose(
            now.residual, unit, completing or absent, unwinding or absent, plan.max_loss_bps
        ),
        refused=refused,
    )


def _hedge(view: ports.VenueView, *, is_long: bool, is_refused: bool) -> HedgeVenue | None:
    rules, book, fees = view.instrument, view.book, view.fees
    if rules is None or not rules.has_valid_rules or book is None or fees is None:
        return None
    side = Side.SELL if is_long else Side.BUY
    return HedgeVenue(
        # a venue that has just refused us has nothing for us, whatever its book shows
        levels=() if is_refused else book.against(side),
        fee=fees.taker,
        balance=view.free.get(rules.base if is_long else rules.quote, Decimal(0)),
        tick=rules.tick,
        step=rules.step,
        min_quantity=rules.min_quantity,
        min_notional=rules.min_notional,
    )


def marks_of(residual: Decimal, views: tuple[ports.VenueView, ...]) -> Marks | None:
    """What the residual is worth now, where it was traded; None without a book there."""
    buy, sell = views
    view = buy if residual > 0 else sell
    if view.book is None or view.fees is None or not (view.book.bids and view.book.asks):
        return None
    return Marks(bid=view.book.bids[0].price, ask=view.book.asks[0].price, fee=view.fees.taker)


def hedge_leg(
    execution_id: str, plan: ArbitragePlan, look: Look, name: str, expires_at: datetime
) -> LegRecord | None:
    """The order that carries out the choice."""
    choice, view = look.choice, look.venue(look.choice.action)
    return _leg(
        execution_id,
        plan,
        look,
        view,
        name,
        quantity=choice.quantity,
        price=None if choice.limit is None else _within_collar(choice.limit, look.side, view),
        time_in_force=TimeInForce.IOC,
        expires_at=expires_at,
    )


def resting_leg(
    execution_id: str, plan: ArbitragePlan, look: Look, name: str, expires_at: datetime
) -> LegRecord | None:
    """A limit order that waits at the bound where the residual is; None if it is too small."""
    view = look.unwind
    rules, fees = view.instrument, view.fees
    if rules is None or fees is None:
        return None
    price = bound_price(
        is_long=look.residual > 0,
        unit=look.unit,
        fee=fees.taker,
        max_loss_bps=plan.max_loss_bps,
        tick=rules.tick,
    )
    price = _within_collar(price, look.side, view)
    return _sized(execution_id, plan, look, name, price, TimeInForce.GTC, expires_at)


def flattening_leg(
    execution_id: str, plan: ArbitragePlan, look: Look, name: str, expires_at: datetime
) -> LegRecord | None:
    """An order that takes what the book gives, within the price collar; None if too small."""
    view = look.unwind
    price = _farthest(look.side, view)
    if price is None:
        return None
    return _sized(execution_id, plan, look, name, price, TimeInForce.IOC, expires_at)


def _farthest(side: Side, view: ports.VenueView) -> Decimal | None:
    """The worst price that is surely inside the collar; None without a market."""
    rules, book = view.instrument, view.book
    levels = book.against(side) if book else ()
    if rules is None or not levels:
        return None
    price = levels[0].price * (1 + side.sign * _FLATTEN_THROUGH)
    if book is not None and book.bids and book.asks:
        # the collar counts from the middle, which is far from the touch where the spread is wide
        farthest = _middle(book) * (1 + side.sign * _FROM_THE_MIDDLE)
        price = min(price, farthest) if side is Side.BUY else max(price, farthest)
    return rules.round_price(price, side)


def _middle(book: Book) -> Decimal:
    with exact():
        return (book.bids[0].price + book.asks[0].price) * _HALF


def _within_collar(limit: Decimal, side: Side, view: ports.VenueView) -> Decimal:
    """A wide bound may lie beyond the price collar, which would refuse the order each time."""
    farthest = _farthest(side, view)
    if farthest is None:
        return limit
    return min(limit, farthest) if side is Side.BUY else max(limit, farthest)


def _sized(
    execution_id: str,
    plan: ArbitragePlan,
    look: Look,
    name: str,
    price: Decimal,
    time_in_force: TimeInForce,
    expires_at: datetime,
) -> LegRecord | None:
    rules = look.unwind.instrument
    assert rules is not None, "its price was made by these rules"
    held = look.unwind.free.get(rules.base if look.residual > 0 else rules.quote, Decimal(0))
    with exact():
        lot_cost = price * rules.step
        affordable = times(rules.step, whole_steps(max(held, Decimal(0)), lot_cost))
        most = held if look.residual > 0 else affordable
    quantity = _floored(min(abs(look.residual), most), rules)
    if quantity < rules.min_quantity or quantity * price < rules.min_notional:
        return None
    return _leg(
        execution_id,
        plan,
        look,
        look.unwind,
        name,
        quantity=quantity,
        price=price,
        time_in_force=time_in_force,
        expires_at=expires_at,
    )


def _floored(quantity: Decimal, rules: Instrument) -> Decimal:
    return times(rules.step, whole_steps(quantity, rules.step))


def _leg(
    execution_id: str,
    plan: ArbitragePlan,
    look: Look,
    view: ports.VenueView,
    name: str,
    *,
    quantity: Decimal,
    price: Decimal | None,
    time_in_force: TimeInForce,
    expires_at: datetime,
) -> LegRecord | None:
    book = view.book
    if price is None or price <= 0 or quantity <= 0 or book is None:
        return None
    request = OrderRequest(
        strategy_id=plan.strategy_id,
        account=plan.account,
        exchange=view.venue,
        symbol=plan.symbol,
        side=look.side,
        order_type=OrderType.LIMIT,
        quantity=quantity,
        price=price,
        time_in_force=time_in_force,
        priority=1,
    )
    middle = _middle(book) if book.bids and book.asks else price
    return new_leg(
        execution_id,
        name,
        request,
        reference_price=middle,
        expires_at=expires_at,
        compensates=execution_id,
    )


def told(look: Look, action: str, at: datetime, order_id: str | None) -> CompensationView:
    """One decision, as it is shown."""
    choice = look.choice
    whole = choice.complete if choice.action is Action.COMPLETE else choice.unwind
    option = choice.taken or whole
    return CompensationView(
        at=at.isoformat(),
        action=action,
        residual=look.residual,
        expected_pnl=option.pnl,
        expected_pnl_bps=option.pnl_bps,
        order_id=order_id,
        reason=why(look),
    )


def why(look: Look) -> str:
    """Both options in one line."""
    parts = []
    options = ((Action.COMPLETE, look.choice.complete), (Action.UNWIND, look.choice.unwind))
    for action, option in options:
        name = action.value.lower()
        if action in look.refused:
            parts.append(f"{name}=refused by {look.venue(action).venue}")
        elif not option.is_feasible:
            parts.append(f"{name}={option.why}")
        elif option.pnl_bps is not None:
            parts.append(f"{name}={plain(round(option.pnl_bps, 2))}bps")
    return " ".join(parts)
