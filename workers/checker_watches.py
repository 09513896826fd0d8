"""The invariants of triggers that the engine keeps, as pure functions of the ledger.

Rule: a trigger ends with its order, and fires only at its price or beyond it. Whether the market
was really there is asked elsewhere: an exchange's log has no prices of others.
"""

from collections import Counter
from collections.abc import Iterator

from workers.checker_evidence import Evidence, Invariant, Violation
from workers.checker_ledger import WatchFacts
from workflows.domain.triggers import Flag, TriggerState, is_reached, trigger_price_of
from workflows.ports import WatchStatus


def watch_violations(evidence: Evidence) -> Iterator[Violation]:
    """Triggers that outlive their order, that are doubled, or that fired for no reason."""
    yield from _guards(evidence)
    for watch in evidence.ledger.watches:
        if why := _why_wrong(watch):
            yield Violation(invariant=Invariant.FIRED, subject=watch.watch_id, detail=why)


def _guards(evidence: Evidence) -> Iterator[Violation]:
    ledger = evidence.ledger
    finished = {each.order_id for each in ledger.parents if each.status.is_terminal}
    armed = Counter(watch.order_id for watch in ledger.watches if watch.status is WatchStatus.ARMED)
    for order_id, count in armed.items():
        if order_id in finished:
            detail = "its order is finished, and a trigger of it is armed"
        elif count > 1:
            detail = f"{count} triggers of it are armed"
        else:
            continue
        yield Violation(invariant=Invariant.GUARD, subject=order_id, detail=detail)


def _why_wrong(watch: WatchFacts) -> str:
    """Why a trigger should not have fired; empty when it did not, or rightly so."""
    fired, spec = watch.fired, watch.spec
    if fired is None or Flag.BLIND in fired.flags:
        return ""
    trigger = trigger_price_of(spec, TriggerState(is_active=True, extreme=fired.extreme))
    if trigger is None:
        return "it fired without ever having followed a price"
    if is_reached(spec.direction, fired.price, trigger):
        return ""
    return f"it fired at {fired.price:f}, the trigger is {trigger:f} {spec.direction}wards"
