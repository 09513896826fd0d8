"""What the demo found out: plain values, the verdict on them, and their JSON."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from workers.checker import CheckReport
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Side
from workflows.messages import OrderSnapshot

FIRST_FILL_WITHIN_S = 30.0
_BASIS_POINTS = Decimal(10_000)


class DemoFailed(Exception):  # noqa: N818 - named as the verdict it is
    """The demo could not show what it is there to show: one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOutcome:
    """One order of the demo and the market's average price over the same time."""

    order: OrderSnapshot
    order_type: OrderType
    side: Side
    quantity: Decimal
    market_average: Decimal
    took_s: float

    @property
    def cost_bp(self) -> Decimal | None:
        """How much worse than the market's average it traded, in basis points."""
        if self.order.average_price is None:
            return None
        relative = self.order.average_price / self.market_average - 1
        return (relative * self.side.sign * _BASIS_POINTS).quantize(Decimal("0.01"))

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        order = self.order
        return {
            "order_id": order.order_id,
            "order_type": self.order_type,
            "side": self.side,
            "status": order.status,
            "reason": order.reason,
            "planned": f"{self.quantity:f}",
            "filled": f"{order.filled_quantity:f}",
            "average_price": _text(order.average_price),
            "market_average": _text(self.market_average),
            "cost_bp": _text(self.cost_bp),
            "fees": {asset: f"{fee:f}" for asset, fee in order.fees.items()},
            "took_s": round(self.took_s, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """A killed worker, and who went on with its order. Seconds count from the kill.

    `next_slice_due_s` is when the schedule wanted the next slice; `next_slice_s` is when it came,
    None when none came any more.
    """

    slice_number: int
    worker: str
    pid: int
    taken_over_by: str
    takeover_s: float
    next_slice_s: float | None
    next_slice_due_s: float

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(slots=True, kw_only=True)
class DemoResult:
    """Filled in as the demo goes."""

    market: str
    orders: list[OrderOutcome] = field(default_factory=list)
    first_fill_s: float | None = None
    """From the start of this process."""
    crash: Crash | None = None
    check: CheckReport | None = None
    urls: dict[str, str] = field(default_factory=dict)
    failure: str = "it was stopped before its end"

    def judge(self) -> None:
        """Set `failure` to what did not hold; empty when everything did."""
        self.failure = "; ".join(self._failures())

    def _failures(self) -> list[str]:
        found = []
        for each in self.orders:
            may_rest = each.order_type is OrderType.LIMIT  # whether it fills is the market's choice
            if each.order.status is not OrderStatus.FILLED and not may_rest:
                found.append(f"the {each.order_type} order is {each.order.status}")
        if self.crash is None:
            found.append("no worker was killed")
        elif self.crash.taken_over_by == self.crash.worker:
            found.append("no other worker took over")
        elif self.crash.next_slice_s is None:
            found.append("no slice went out after the kill")
        if self.check is None or not self.check.venues:
            found.append("nothing was checked")
        elif self.check.violations:
            found.append(f"{len(self.check.violations)} invariants are violated")
        return found

    @property
    def ok(self) -> bool:
        """Whether everything really held."""
        return not self.failure

    def as_json(self) -> dict[str, Any]:
        """For programs; prices and quantities as exact text."""
        check = self.check
        return {
            "ok": self.ok,
            "reason": self.failure,
            "market": self.market,
            "first_fill_s": self.first_fill_s and round(self.first_fill_s, 3),
            "orders": [each.as_json() for each in self.orders],
            "crash": self.crash and self.crash.as_json(),
            "check": check
            and {
                "venues": check.venues,
                "orders_sent": check.orders,
                "sent_twice": check.sent_twice,
                "fills": check.fills,
                "violations": [str(each) for each in check.violations],
            },
            "urls": self.urls,
        }


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"
