"""What an order would do and cost, reckoned before anything is sent.

The schedule is the one the order would follow if every child filled completely. The cost is an
estimate, with these simplifications:
- takers walk the book as it is now, and it has recovered before the next child takes from it: an
  order that is worked in children pays the average of one child all along, and the slices of a
  TWAP cross, however passively they begin;
- resters fill completely at their own price, as makers; what crosses first takes what the book
  offers within the limit;
- an order that waits for a trigger finds the same book around its trigger as stands around the
  middle now, and its slippage is reckoned from the trigger;
- fees are reckoned in quote units, also where the venue takes them from the base bought.

It must not know clocks, venues or orders in flight. Quantities in base units, prices, values and
fees in quote units; quotients are rounded to 18 decimals.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from workflows.domain.books import Book
from workflows.domain.exact import rounded, whole_steps
from workflows.domain.fees import Fees
from workflows.domain.icebergs import IcebergParameters, next_tip
from workflows.domain.orders import ChildType, OrderType, Side, TimeInForce
from workflows.domain.schedules import TwapSchedule, next_child, quantity_of

_BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """One child as planned. `offset_s`: seconds after the start; None: when the one before ends."""

    index: int
    offset_s: Fraction | None
    child_type: ChildType
    quantity: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewSchedule:
    """The first rows, how many there are in all, and the largest child (base units)."""

    rows: tuple[PlannedRow, ...]
    total: int
    largest: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCost:
    """An estimate. `fee_quote` is negative for a rebate.

    average_price and slippage_bps are None when nothing would trade; slippage_bps also when one
    side of the book is empty. Slippage is against the middle of the market (a triggered order:
    against its trigger), positive when it costs, fees apart. notional: value of what would trade.
    unfilled: base units that the book does not hold and that would not wait for a counterparty.
    """

    average_price: Decimal | None
    fee_quote: Decimal
    slippage_bps: Decimal | None
    notional: Decimal
    unfilled: Decimal


def preview_schedule(
    plan: TwapSchedule | IcebergParameters | Decimal,
    *,
    child_type: ChildType,
    price: Decimal | None,
    shown: int,
) -> PreviewSchedule:
    """The children of a plan: of a TWAP, of an iceberg, or one child of a quantity.

    `price` is the limit that every child carries, None for the market's. At most `shown` rows.
    """
    if isinstance(plan, TwapSchedule):
        sizes, step = _twap_sizes(plan), plan.step
    elif isinstance(plan, IcebergParameters):
        sizes, step = _tip_sizes(plan), plan.step
    else:
        sizes, step = [(Fraction(0), 1)], plan
    rows = tuple(
        PlannedRow(
            index=index,
            offset_s=offset_s,
            child_type=child_type,
            quantity=quantity_of(lots, step=step),
            price=price,
        )
        for index, (offset_s, lots) in enumerate(sizes[:shown])
    )
    largest = quantity_of(max(lots for _, lots in sizes), step=step)
    return PreviewSchedule(rows=rows, total=len(sizes), largest=largest)


def expected_cost(
    book: Book,
    fees: Fees,
    side: Side,
    quantity: Decimal,
    order_type: OrderType,
    price: Decimal | None,
    *,
    trigger: Decimal | None = None,
    child_quantity: Decimal | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    is_post_only: bool = False,
) -> ExpectedCost:
    """What `quantity` > 0 would come to, by the simplifications named above.

    price: the limit, None for the market's. trigger: of an order that waits for one and then
    trades; an oco is reckoned by its limit leg, which waits for none. child_quantity: what a
    worked order sends at a time; default: all at once.
    """
    if order_type is OrderType.OCO:
        trigger = None
    mid = _middle(book)
    offers = _offers(book, side, mid, trigger)
    if price is not None:
        offers = [offer for offer in offers if (Fraction(price) - offer.price) * side.sign >= 0]
    child = Fraction(quantity if child_quantity is None else min(child_quantity, quantity))
    taken, value = _take([] if is_post_only else offers, child)
    if time_in_force is TimeInForce.FOK and taken < child:
        taken = value = Fraction(0)
    children = Fraction(quantity) / child
    taken, value = taken * children, value * children
    fee = value * Fraction(fees.taker)
    left = Fraction(quantity) - taken
    if price is not None and _rests(order_type, time_in_force):
        value += left * Fraction(price)
        fee += left * Fraction(price) * Fraction(fees.maker)
        left = Fraction(0)
    reference = mid if trigger is None else Fraction(trigger)
    return _cost(side, value, Fraction(quantity) - left, fee, left, reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """A level of the book that is expected when the order trades."""

    price: Fraction
    quantity: Fraction


def _twap_sizes(schedule: TwapSchedule) -> list[tuple[Fraction | None, int]]:
    """Start and lots of every slice that trades, if each one fills."""
    sizes: list[tuple[Fraction | None, int]] = []
    executed = 0
    for k, offset_s in enumerate(schedule.offsets):
        lots = next_child(
            schedule, k=k, executed_lots=executed, min_child_lots=schedule.min_child_lots
        )
        if lots:
            sizes.append((offset_s, lots))
        executed += lots
    return sizes


def _tip_sizes(parameters: IcebergParameters) -> list[tuple[Fraction | None, int]]:
    """Lots of every tip; only the first one has a time of its own."""
    sizes: list[tuple[Fraction | None, int]] = []
    left = whole_steps(parameters.total, parameters.step)
    while left > 0:
        lots = next_tip(parameters, index=len(sizes), remaining_lots=left)
        sizes.append((None if sizes else Fraction(0), lots))
        left -= lots
    return sizes


def _middle(book: Book) -> Fraction | None:
    if not (book.bids and book.asks):
        return None
    return (Fraction(book.bids[0].price) + Fraction(book.asks[0].price)) / 2


def _offers(
    book: Book, side: Side, middle: Fraction | None, trigger: Decimal | None
) -> list[_Offer]:
    """The book of now, moved to the trigger if there is one; without a middle it cannot be."""
    scale = Fraction(1)
    if trigger is not None:
        if middle is None:
            return []
        scale = Fraction(trigger) / middle
    return [
        _Offer(price=Fraction(level.price) * scale, quantity=Fraction(level.quantity))
        for level in book.against(side)
    ]


def _take(offers: list[_Offer], quantity: Fraction) -> tuple[Fraction, Fraction]:
    """What of the quantity is on offer, best first, and its value."""
    left, value = quantity, Fraction(0)
    for offer in offers:
        taken = min(left, offer.quantity)
        value += taken * offer.price
        left -= taken
    return quantity - left, value


def _rests(order_type: OrderType, time_in_force: TimeInForce) -> bool:
    """Whether what is not taken at once waits at its limit; a TWAP's slices do not."""
    is_worked_at_once = order_type in (OrderType.MARKET, OrderType.TWAP)
    return time_in_force is TimeInForce.GTC and not is_worked_at_once


def _cost(
    side: Side,
    value: Fraction,
    filled: Fraction,
    fee: Fraction,
    unfilled: Fraction,
    reference: Fraction | None,
) -> ExpectedCost:
    average = value / filled if filled else None
    slippage = None
    if average is not None and reference is not None:
        slippage = side.sign * (average - reference) / reference * _BPS
    return ExpectedCost(
        average_price=None if average is None else rounded(average),
        fee_quote=rounded(fee),
        slippage_bps=None if slippage is None else rounded(slippage),
        notional=rounded(value),
        unfilled=rounded(unfilled),
    )
