"""What the demo found out: plain values, the verdict on them, and their JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from starters.demo_control_result import ControlsOutcome
from workers.checker import CheckReport
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType, Side
from workflows.execution_messages import ArbitrageSnapshot, LegOrderView, RebalanceSnapshot
from workflows.messages import OrderSnapshot

FIRST_FILL_WITHIN_S = 30.0
EXECUTIONS = 3
MAY_REST = (OrderType.LIMIT, OrderType.ICEBERG, OrderType.TRAILING_STOP)
"""Whether these fill is the market's choice."""
LEAST_TIPS = 2
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

    def failures(self) -> list[str]:
        """What did not hold."""
        status, iceberg, stop = self.order.status, self.order.iceberg, self.order.stop
        was_left = status is OrderStatus.CANCELLED and self.order_type in MAY_REST
        if status is not OrderStatus.FILLED and not was_left:
            return [f"the {self.order_type} order is {status}"]
        if iceberg is not None and not was_left and iceberg.tips_filled < LEAST_TIPS:
            return [f"the iceberg was filled with {iceberg.tips_filled} tips"]
        if stop is not None and not was_left and stop.fired_price is None:
            return [f"the {self.order_type} order traded before it fired"]
        return []

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
            "iceberg": order.iceberg and order.iceberg.model_dump(mode="json"),
            "stop": order.stop and order.stop.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbitrageOutcome:
    """One arbitrage, how it is meant to end, and the most that it may lose in quote currency."""

    name: str
    done: ArbitrageSnapshot
    wanted: ExecutionStatus
    bound: Decimal
    took_s: float

    def failures(self) -> list[str]:
        """What did not hold."""
        profit = self.done.actual_profit
        if self.done.status is not self.wanted:
            return [f"the {self.name} is {self.done.status}, not {self.wanted}"]
        if profit is None or profit < -self.bound:
            return [f"the {self.name} came to {profit}, beyond its bound of {-self.bound:f}"]
        return []

    def as_json(self) -> dict[str, Any]:
        """For programs; the bound is the largest loss allowed."""
        done = self.done
        return {
            "id": done.execution_id,
            "kind": "arbitrage",
            "name": self.name,
            "status": done.status,
            "outcome": done.outcome,
            "buy_exchange": done.buy_exchange,
            "sell_exchange": done.sell_exchange,
            "profit": _text(done.actual_profit),
            "expected_profit": _text(done.expected_profit),
            "bound": f"{self.bound:f}",
            "fees": _text(done.fees_total),
            "naked_s": f"{done.naked_seconds:f}",
            "compensation": [each.action for each in done.compensation],
            "compensation_cost": _text(done.compensation_cost),
            "orders": [_leg_as_json(each) for each in done.orders],
            "took_s": round(self.took_s, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalanceOutcome:
    """The rebalancing; one that traded less than planned must say why."""

    name: str
    done: RebalanceSnapshot
    took_s: float

    def failures(self) -> list[str]:
        """What did not hold."""
        done = self.done
        if done.status is ExecutionStatus.COMPLETED and done.orders:
            return []
        reasons = (
            done.skipped or done.needs_transfer or [each for each in done.orders if each.reason]
        )
        if done.status is ExecutionStatus.PARTIAL and reasons:
            return []
        return [f"the {self.name} is {done.status} with {len(done.orders)} orders"]

    def as_json(self) -> dict[str, Any]:
        """For programs; weights are fractions of the portfolio's value."""
        done = self.done
        return {
            "id": done.execution_id,
            "kind": "rebalance",
            "name": self.name,
            "status": done.status,
            "profit": None,
            "passes": done.passes,
            "portfolio_value": _text(done.portfolio_value),
            "weights_before": _texts(done.weights_before),
            "targets": _texts(done.targets),
            "weights_after": _texts(done.weights_after),
            "skipped": [each.model_dump(mode="json") for each in done.skipped],
            "needs_transfer": [each.model_dump(mode="json") for each in done.needs_transfer],
            "fees": _texts(done.fees),
            "orders": [_leg_as_json(each) for each in done.orders],
            "took_s": round(self.took_s, 3),
        }


ExecutionOutcome = ArbitrageOutcome | RebalanceOutcome


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
    taken_over_pid: int
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
    executions: list[ExecutionOutcome] = field(default_factory=list)
    first_fill_s: float | None = None
    """From the start of this process."""
    crash: Crash | None = None
    controls: ControlsOutcome | None = None
    check: CheckReport | None = None
    urls: dict[str, str] = field(default_factory=dict)
    failure: str = "it was stopped before its end"

    def judge(self) -> None:
        """Set `failure` to what did not hold; empty when everything did."""
        self.failure = "; ".join(self._failures())

    def _failures(self) -> list[str]:
        found = []
        for each in self.orders:
            found += each.failures()
        if self.crash is None:
            found.append("no worker was killed")
        elif self.crash.next_slice_s is None:
            found.append("no slice went out after the kill")
        if len(self.executions) != EXECUTIONS:
            found.append(f"{len(self.executions)} of {EXECUTIONS} executions were carried out")
        for execution in self.executions:
            found += execution.failures()
        found += self.controls.failures() if self.controls else ["no control was shown"]
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
            "executions": [each.as_json() for each in self.executions],
            "crash": self.crash and self.crash.as_json(),
            "controls": self.controls and self.controls.as_json(),
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


def _leg_as_json(order: LegOrderView) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "leg": order.leg,
        "exchange": order.exchange,
        "symbol": order.symbol,
        "side": order.side,
        "status": order.status,
        "reason": order.reason,
        "planned": f"{order.amount:f}",
        "filled": f"{order.filled_amount:f}",
        "average_price": _text(order.avg_price),
        "fees": _texts(order.fee),
    }


def _texts(numbers: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: f"{number:f}" for name, number in numbers.items()}


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"
