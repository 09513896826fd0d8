"""The invariants, as pure functions of the exchanges' logs and the ledger: violations out.

Rule: the exchange's log is the judge, to the last digit. Each function holds one invariant and
knows nothing of the others. What the account traded by orders that are not ours is EXTERNAL, and is
booked all the same. Executions of several orders have rules of their own in `checker_executions`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from activities.venues.dialects import dialect_of
from activities.venues.simulator.judge import NO_LIST, JudgedOrder, JudgedTrade, VenueLog
from workers.checker_books import book_violations
from workers.checker_evidence import Evidence, Invariant, Violation
from workers.checker_executions import execution_violations, unfinished_executions
from workers.checker_ledger import AccountKey, FillFacts, LedgerFacts
from workers.checker_watches import watch_violations
from workflows.domain.exact import exact

__all__ = ["Evidence", "Invariant", "Violation", "violations"]

_ZERO = Decimal(0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FillKey = tuple[str, str, str, str, str]
"""Exchange, account, symbol, trade id, side: unique in the ledger."""
ParseId = Callable[[str | None], str | None]
"""Our canonical id from the venue's text; None for an order that is not ours."""


def violations(evidence: Evidence, *, all_finished: bool = False) -> list[Violation]:
    """Everything that is wrong; `all_finished` also asks for nothing to be under way."""
    with exact():
        found = [
            *_contradictions(evidence),
            *_duplicates(evidence),
            *_fills_once(evidence),
            *_executed(evidence),
            *_overshoot(evidence),
            *_double_entry(evidence),
            *book_violations(evidence),
            *_risk_checked(evidence),
            *_placed(evidence),
            *_alone(evidence),
            *_released(evidence),
            *watch_violations(evidence),
            *execution_violations(evidence),
        ]
    if all_finished:
        found += [*_unfinished(evidence), *unfinished_executions(evidence)]
    return found


def _contradictions(evidence: Evidence) -> Iterator[Violation]:
    for venue, log in evidence.logs.items():
        for sentence in log.contradictions():
            yield Violation(invariant=Invariant.LOG, subject=venue, detail=sentence)


def _duplicates(evidence: Evidence) -> Iterator[Violation]:
    # The two orders of a one-cancels-the-other list were sent as one.
    places: dict[str, dict[str, None]] = defaultdict(dict)
    for venue, our_id, order in evidence.our_orders():
        sent_as = order.order_id if order.list_id == NO_LIST else f"list {order.list_id}"
        places[our_id][f"{venue}/{order.account}/{sent_as}"] = None
    for our_id, orders in places.items():
        if len(orders) > 1:
            detail = f"{len(orders)} orders at the exchange: {', '.join(orders)}"
            yield Violation(invariant=Invariant.NO_DUPLICATE, subject=our_id, detail=detail)


# --- fills ----------------------------------------------------------------------------------------


def _fills_once(evidence: Evidence) -> Iterator[Violation]:
    booked: dict[FillKey, list[FillFacts]] = defaultdict(list)
    for fill in evidence.ledger.fills:
        if fill.exchange in evidence.logs:
            key = (fill.exchange, fill.account, fill.symbol, fill.trade_id, fill.side)
            booked[key].append(fill)
    for venue, log in evidence.logs.items():
        for trade in log.trades:
            key = (venue, trade.account, trade.symbol, str(trade.trade_id), trade.side.lower())
            rows = booked.pop(key, [])
            if len(rows) == 1:
                wrong = _difference(log, trade, rows[0], dialect_of(venue).parse_id)
            elif rows or not _is_history(evidence, venue, trade):
                wrong = f"{len(rows)} times in the ledger"
            else:
                wrong = ""
            if wrong:
                yield Violation(
                    invariant=Invariant.FILLS_ONCE, subject="/".join(key[:4]), detail=wrong
                )
    for key in booked:
        detail = "in the ledger, not at the exchange"
        yield Violation(invariant=Invariant.FILLS_ONCE, subject="/".join(key[:4]), detail=detail)


def _is_history(evidence: Evidence, venue: str, trade: JudgedTrade) -> bool:
    """A foreign trade from before the opening balances were taken: those contain it."""
    opened_at = evidence.ledger.opened_at.get((venue, trade.account))
    if opened_at is None or dialect_of(venue).parse_id(trade.client_order_id) is not None:
        return False
    return _EPOCH + timedelta(milliseconds=trade.ts_ms) < opened_at


def _difference(log: VenueLog, trade: JudgedTrade, fill: FillFacts, parse_id: ParseId) -> str:
    """How a booked fill differs from the exchange's trade; empty when it does not."""
    owner = parse_id(trade.client_order_id) or "EXTERNAL"
    pairs = {
        "order": (_booked_under(log, trade.order_id), fill.venue_order_id),
        "owner": (owner, fill.client_order_id or "EXTERNAL"),
        "side": (trade.side.lower(), fill.side),
        "price": (trade.price, fill.price),
        "quantity": (trade.quantity, fill.quantity),
        "fee": (trade.fee, fill.fee),
        "fee asset": (trade.fee_asset, fill.fee_asset),
    }
    return ", ".join(
        f"{name}: exchange {theirs}, ledger {ours}"
        for name, (theirs, ours) in pairs.items()
        if theirs != ours
    )


def _booked_under(log: VenueLog, order_id: int) -> str:
    order = log.orders.get(order_id)
    return str(order_id) if order is None else _venue_id(order)


def _venue_id(order: JudgedOrder) -> str:
    """The order's number; for either order of a list that of the list, which was sent as one."""
    return str(order.order_id) if order.list_id == NO_LIST else f"list:{order.list_id}"


def _executed(evidence: Evidence) -> Iterator[Violation]:
    executed: dict[str, Decimal] = defaultdict(Decimal)
    for _, our_id, order in evidence.our_orders():
        executed[our_id] += order.executed
    booked = _booked(evidence.ledger)
    for child in evidence.ledger.children:
        our_id = child.client_order_id
        if child.exchange not in evidence.logs:
            continue
        told = (executed[our_id], booked[our_id], child.filled_quantity)
        if len(set(told)) > 1:
            detail = "exchange executed {:f}, ledger fills {:f}, ledger order {:f}".format(*told)
            yield Violation(invariant=Invariant.EXECUTED, subject=our_id, detail=detail)


def _overshoot(evidence: Evidence) -> Iterator[Violation]:
    executed: dict[str, Decimal] = defaultdict(Decimal)
    booked, parent_of = _booked(evidence.ledger), _parents_of(evidence.ledger)
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for our_id, parent in parent_of.items():
        filled[parent] += booked[our_id]
    for _, our_id, order in evidence.our_orders():
        if our_id in parent_of:
            executed[parent_of[our_id]] += order.executed
    for each in evidence.ledger.parents:
        most = max(filled[each.order_id], executed[each.order_id], each.filled_quantity)
        if most > each.quantity:
            detail = f"filled {most:f} of {each.quantity:f}"
            yield Violation(invariant=Invariant.NO_OVERSHOOT, subject=each.order_id, detail=detail)
        if each.status.is_terminal and each.filled_quantity != filled[each.order_id]:
            detail = f"ended with {each.filled_quantity:f}, its fills are {filled[each.order_id]:f}"
            yield Violation(invariant=Invariant.EXECUTED, subject=each.order_id, detail=detail)


# --- balances -------------------------------------------------------------------------------------


def _double_entry(evidence: Evidence) -> Iterator[Violation]:
    for each in evidence.ledger.imbalances:
        subject, detail = f"fill {each.fill_id}", f"postings of {each.asset} sum to {each.amount}"
        yield Violation(invariant=Invariant.DOUBLE_ENTRY, subject=subject, detail=detail)
    for venue, log in evidence.logs.items():
        for account in log.start_balances:
            yield from _balances(evidence, log, (venue, account))


def _balances(evidence: Evidence, log: VenueLog, key: AccountKey) -> Iterator[Violation]:
    if key not in evidence.ledger.opened_at:
        return  # no feed follows this account: its balances are not ours to know
    ours = evidence.ledger.balances.get(key, {})
    theirs = {asset: each.total for asset, each in log.final_balances(key[1]).items()}
    for asset in sorted({*ours, *theirs}):
        told, known = theirs.get(asset, _ZERO), ours.get(asset, _ZERO)
        if told != known or known < 0:
            yield Violation(
                invariant=Invariant.DOUBLE_ENTRY,
                subject="/".join((*key, asset)),
                detail=f"exchange {told:f}, opening balance and entries {known:f}",
            )


# --- orders ---------------------------------------------------------------------------------------


def _risk_checked(evidence: Evidence) -> Iterator[Violation]:
    children = {child.client_order_id: child for child in evidence.ledger.children}
    for venue, our_id, order in evidence.our_orders():
        child = children.get(our_id)
        at = f"order {order.order_id} at {venue}/{order.account}"
        if child is None:
            detail = f"{at} bears an id of ours that the ledger does not know"
        elif not child.risk_passed:
            detail = f"{at} has no passed risk check"
        elif (child.exchange, child.account) != (venue, order.account):
            detail = f"{at} was meant for {child.exchange}/{child.account}"
        else:
            continue
        yield Violation(invariant=Invariant.RISK_CHECKED, subject=our_id, detail=detail)


def _placed(evidence: Evidence) -> Iterator[Violation]:
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    for venue, our_id, order in evidence.our_orders():
        known[venue, our_id].add(_venue_id(order))
    for child in evidence.ledger.children:
        found = known[child.exchange, child.client_order_id]
        if child.exchange in evidence.logs and child.venue_order_id not in (None, *found):
            detail = f"exchange {', '.join(sorted(found)) or 'none'}, ledger {child.venue_order_id}"
            yield Violation(
                invariant=Invariant.PLACED, subject=child.client_order_id, detail=detail
            )


def _alone(evidence: Evidence) -> Iterator[Violation]:
    parent_of = _parents_of(evidence.ledger)
    lives: dict[tuple[str, str], dict[str, list[JudgedOrder]]] = defaultdict(dict)
    for venue, our_id, order in evidence.our_orders():
        if our_id in parent_of:
            lives[venue, parent_of[our_id]].setdefault(our_id, []).append(order)
    for (_, parent), children in lives.items():
        in_order = sorted(children.items(), key=lambda each: min(o.began for o in each[1]))
        for (first, orders), (second, later) in pairwise(in_order):
            came = min(order.began for order in later)
            if any(order.ended is None or order.ended > came for order in orders):
                detail = f"{second} was sent while {first} was open"
                yield Violation(invariant=Invariant.ALONE, subject=parent, detail=detail)


def _released(evidence: Evidence) -> Iterator[Violation]:
    ledger = evidence.ledger
    finished = {each.order_id for each in ledger.parents if each.status.is_terminal}
    ended = {each.client_order_id for each in ledger.children if each.order_id in finished}
    for child in ledger.children:
        if child.client_order_id in ended and child.reservation_open:
            detail = f"reservation of the finished order {child.order_id} is open"
            yield Violation(
                invariant=Invariant.RELEASED, subject=child.client_order_id, detail=detail
            )
    for venue, our_id, order in evidence.our_orders():
        if our_id in ended and order.is_open:
            detail = f"order {order.order_id} is open at {venue}, its parent is finished"
            yield Violation(invariant=Invariant.RELEASED, subject=our_id, detail=detail)


def _unfinished(evidence: Evidence) -> Iterator[Violation]:
    for each in evidence.ledger.parents:
        if not each.status.is_terminal:
            detail = f"is {each.status}"
            yield Violation(invariant=Invariant.NONE_LOST, subject=each.order_id, detail=detail)


def _booked(ledger: LedgerFacts) -> dict[str, Decimal]:
    """Base units of the fills, by client order id."""
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for fill in ledger.fills:
        if fill.client_order_id is not None:
            booked[fill.client_order_id] += fill.quantity
    return booked


def _parents_of(ledger: LedgerFacts) -> dict[str, str]:
    """The parent's id by client order id."""
    return {child.client_order_id: child.order_id for child in ledger.children}
