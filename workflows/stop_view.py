"""A protective order as people and services see it: pure."""

from datetime import UTC, datetime
from decimal import Decimal

from workflows.child_state import ChildState
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import Placement
from workflows.domain.triggers import TriggerSource, TriggerState, trigger_price_of
from workflows.order_state import StopPhase, StopState
from workflows.order_views import StopProgress

_NONE = Decimal(0)


def stop_view(
    stop: StopState, live: ChildState | None, left: Decimal, *, is_over: bool, is_paused: bool
) -> StopProgress:
    """Where it is; `left` in base units.

    Protected: a native order rests, or a watch sees, or its exit is being worked within its bound.
    """
    is_native = stop.placement is Placement.NATIVE
    rests = live is not None and live.status is ChildStatus.WORKING
    has_fired = stop.phase is StopPhase.FIRED
    phase = StopPhase.ARMED if is_native and rests and not has_fired else stop.phase
    if is_over and not has_fired:
        phase = StopPhase.DISARMED
    watches = stop.phase is StopPhase.ARMED and not stop.is_blind
    is_leaving = has_fired and not stop.has_alarmed
    is_guarded = is_leaving or (not has_fired and (rests if is_native else watches))
    watched = _last_seen(stop)
    trigger = stop.spec.price if watched is None else trigger_price_of(stop.spec, watched)
    return StopProgress(
        placement=stop.placement,
        phase=phase,
        trigger_price=trigger,
        trigger_source=TriggerSource.LAST if is_native else stop.spec.source,
        extreme=watched.extreme if watched else None,
        is_protected=not is_over and not is_paused and left > 0 and is_guarded,
        protected_quantity=_NONE if is_over else max(left, _NONE),
        fired_price=stop.fired.price if stop.fired else None,
        fired_at=fired_moment(stop).isoformat() if stop.fired else None,
        flags=stop.flags,
        is_blind=stop.is_blind,
    )


def _last_seen(stop: StopState) -> TriggerState | None:
    """Where the trigger is; one that fired tells how far it had followed, newer than any look."""
    if stop.fired is None or stop.fired.extreme is None:
        return stop.watched
    return TriggerState(is_active=True, extreme=stop.fired.extreme)


def fired_moment(stop: StopState) -> datetime:
    """When the trigger fired; 1970 while it has not."""
    at_ms = 0 if stop.fired is None else stop.fired.at_ms
    return datetime.fromtimestamp(at_ms / 1000, UTC)
