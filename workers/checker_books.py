"""The invariants of the books, as pure functions of the ledger: positions, PnL, balances.

Rule: nothing that the engine keeps beside the fills is believed. Every position is counted again
from all its fills, and every balance from opening, postings and transfers.
"""

from collections import defaultdict
from collections.abc import Iterator

from workers.checker_evidence import Evidence, Invariant, Violation
from workers.checker_ledger import FillFacts, LedgerFacts, PositionFacts, PositionName
from workflows.domain.orders import Side
from workflows.domain.positions import PositionFill, PositionState, book, fee_kind, place_of


def book_violations(evidence: Evidence) -> Iterator[Violation]:
    """Positions and balances that are not what their entries come to."""
    yield from _positions(evidence.ledger)
    yield from _kept_balances(evidence.ledger)


def _positions(ledger: LedgerFacts) -> Iterator[Violation]:
    fills: dict[PositionName, list[FillFacts]] = defaultdict(list)
    for fill in ledger.fills:
        fills[fill.position].append(fill)
    kept = {each.name: each for each in ledger.positions}
    for name in sorted({*fills, *kept}):
        wrong = _difference(kept.get(name), fills[name])
        if wrong:
            yield Violation(invariant=Invariant.POSITION, subject="/".join(name), detail=wrong)


def _difference(kept: PositionFacts | None, fills: list[FillFacts]) -> str:
    """How a position differs from its fills; empty when it does not."""
    if kept is None:
        return f"{len(fills)} fills, and no position"
    state = counted(fills)
    told = []
    if len(fills) != kept.fill_count:
        told.append(f"{len(fills)} fills, {kept.fill_count} counted")
    for name in PositionState.__dataclass_fields__:
        right, ours = getattr(state, name), getattr(kept.state, name)
        if right != ours:
            told.append(f"{name}: counted {right:f}, kept {ours:f}")
    pnl = kept.state.realised_gross - kept.state.fees_quote - kept.state.cost
    cash = kept.state.cash - kept.state.fees_other
    if pnl != cash:
        told.append(f"realised less cost {pnl:f} is not cash less other fees {cash:f}")
    return ", ".join(told)


def counted(fills: list[FillFacts]) -> PositionState:
    """The position that these fills, in whatever order, come to."""
    state = PositionState()
    for fill in sorted(fills, key=lambda each: place_of(each.traded_at, each.trade_id, each.side)):
        step = PositionFill(
            side=Side(fill.side),
            quantity=fill.quantity,
            price=fill.price,
            fee=fill.fee,
            fee_kind=fee_kind(fill.fee_asset, fill.symbol),
            fee_rate=fill.fee_rate,
        )
        state = book(state, step)
    return state


def _kept_balances(ledger: LedgerFacts) -> Iterator[Violation]:
    for account in sorted({*ledger.balances, *ledger.kept_balances}):
        right, kept = ledger.balances.get(account, {}), ledger.kept_balances.get(account, {})
        for asset in sorted({*right, *kept}):
            if right.get(asset) != kept.get(asset):
                subject = "/".join((*account, asset))
                detail = f"entries come to {right.get(asset)}, kept is {kept.get(asset)}"
                yield Violation(invariant=Invariant.DOUBLE_ENTRY, subject=subject, detail=detail)
