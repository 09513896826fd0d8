"""How the command line tells where an order's strategy is: slices, tips, triggers; and who steered.

Rule: text in, text out; what is printed where stands in `starters.cli_show`.
"""

from datetime import datetime

from starters.cli_numbers import number
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Placement
from workflows.messages import OrderSnapshot
from workflows.order_views import IcebergProgress, StopProgress, TwapProgress
from workflows.steering_messages import ActionView


def line(snapshot: OrderSnapshot) -> str:
    """Where the strategy is, in few words; empty for orders that have none."""
    if snapshot.twap is not None:
        return f"slice {snapshot.twap.slices_done}/{snapshot.twap.slices_planned}"
    if snapshot.iceberg is not None:
        return _tips(snapshot.iceberg)
    if snapshot.stop is not None:
        return _trigger(snapshot.stop, snapshot.status)
    return ""


def ends_at(snapshot: OrderSnapshot) -> datetime | None:
    """When a plan says that the order ends; None for orders without one, and once they ended."""
    is_planned = snapshot.twap is not None and not snapshot.status.is_terminal
    planned = snapshot.twap.ends_at if snapshot.twap is not None and is_planned else None
    return datetime.fromisoformat(planned) if planned else None


def _tips(iceberg: IcebergProgress) -> str:
    """A native iceberg tells nobody how many tips it has shown."""
    if iceberg.current_tip is None:
        return f"tips {iceberg.tips_filled}/{iceberg.tips_shown}"
    return f"tip {iceberg.tips_shown} shows {number(iceberg.current_tip)}"


def _trigger(stop: StopProgress, status: OrderStatus) -> str:
    """A venue that kept the trigger, or a limit leg that filled, tells no price of firing."""
    if stop.fired_price is not None:
        return f"fired at {number(stop.fired_price)}"
    if status.is_terminal:
        return "" if status is OrderStatus.FILLED else stop.phase
    at = f" at {number(stop.trigger_price)}" if stop.trigger_price is not None else ""
    best = f" (best {number(stop.extreme)})" if stop.extreme is not None else ""
    return f"{stop.phase}{at}{best}"


def facts(snapshot: OrderSnapshot) -> dict[str, str]:
    """Rows about the strategy; empty values are not shown."""
    if snapshot.twap is not None:
        return _twap_facts(snapshot.twap)
    if snapshot.iceberg is not None:
        return _iceberg_facts(snapshot.iceberg)
    if snapshot.stop is not None:
        return _stop_facts(snapshot.stop, snapshot.status)
    return {}


def _twap_facts(twap: TwapProgress) -> dict[str, str]:
    planned = f"{twap.slices_done} of {twap.slices_planned} done"
    parts = [planned, f"{twap.slices_sent} sent", f"{twap.slices_filled} filled"]
    if twap.slices_late:
        parts.append(f"{twap.slices_late} late")
    if twap.participation_limited:
        parts.append(f"{twap.participation_limited} cut to the market's volume")
    asked = twap.slices_requested
    merged = asked is not None and asked != twap.slices_planned
    return {
        "slices": ", ".join(parts),
        "merged": f"{asked} slices were asked for; each must reach the minimum" if merged else "",
        "next slice": twap.next_slice_at or "",
        "ends": twap.ends_at or "",
    }


def _iceberg_facts(iceberg: IcebergProgress) -> dict[str, str]:
    tip = number(iceberg.current_tip)
    price = f" at {number(iceberg.current_price)}" if iceberg.current_price is not None else ""
    return {
        "worked by": worked_by(iceberg.placement),
        "shows": f"{number(iceberg.display_quantity)} at a time",
        "tips": f"{iceberg.tips_shown} shown, {iceberg.tips_filled} filled",
        "current tip": f"{tip}{price}" if tip else "",
        "next tip": iceberg.next_tip_at or "",
        "hidden": number(iceberg.hidden_quantity),
    }


def _stop_facts(stop: StopProgress, status: OrderStatus) -> dict[str, str]:
    fired = f"at {number(stop.fired_price)} {stop.fired_at or ''}".rstrip()
    protected = number(stop.protected_quantity) if stop.is_protected else "NOTHING"
    is_filled = status is OrderStatus.FILLED
    phase = f"{stop.phase}, BLIND: no price is known" if stop.is_blind else stop.phase
    return {
        "worked by": worked_by(stop.placement),
        "phase": "" if is_filled and stop.fired_price is None else phase,
        "trigger": f"{number(stop.trigger_price) or 'not known yet'} ({stop.trigger_source})",
        "best price": number(stop.extreme),
        "armed": (stop.armed_at or "")[:19],
        "fired": fired if stop.fired_price is not None else "",
        "flags": ", ".join(stop.flags),
        "protects": "" if is_filled else protected,
    }


def worked_by(placement: Placement) -> str:
    """Who keeps what is hidden, and the trigger."""
    return "the exchange" if placement is Placement.NATIVE else "the engine"


def action(view: ActionView) -> str:
    """One action on the order, in one line."""
    parts = [view.at[:19], view.kind.value, "by", view.requested_by]
    return " ".join([*parts, *(part for part in (view.detail, view.reason) if part)])
