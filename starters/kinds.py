"""What can be asked for: orders, arbitrages, rebalancings; and how each is called and told.

One record per kind, so that the calls, the look-ups and the interfaces are written once for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from starters.errors import (
    AlreadyTerminal,
    Ended,
    ExecutionEnded,
    ExecutionFailed,
    ExecutionNotFound,
    NotFound,
    OrderFailed,
    OrderNotFound,
    WorkflowBroke,
)
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType
from workflows.execution_messages import ArbitrageSnapshot, RebalanceSnapshot
from workflows.messages import OrderSnapshot

WORKFLOW_TYPES: dict[OrderType, str] = {
    OrderType.MARKET: "MarketOrder",
    OrderType.LIMIT: "LimitOrder",
    OrderType.TWAP: "TwapOrder",
    OrderType.ICEBERG: "IcebergOrder",
    OrderType.STOP_LOSS: "StopOrder",
    OrderType.TAKE_PROFIT: "StopOrder",
    OrderType.TRAILING_STOP: "StopOrder",
    OrderType.OCO: "StopOrder",
}
"""The workflow that works each type of order."""

PREVIEW_TYPE = "PreviewOrder"
"""The workflow that says what an order would do, whatever its type."""

SYNC_TYPE = "SyncPositions"
"""The workflow that compares a venue with the ledger."""

EXECUTION_TYPES: dict[ExecutionKind, str] = {
    ExecutionKind.ARBITRAGE: "Arbitrage",
    ExecutionKind.REBALANCE: "Rebalance",
}
"""The workflow that works each kind of execution."""

DENIED, CANCELLING = OrderStatus.DENIED.value, OrderStatus.CANCELLING.value
"""Words that orders and executions share."""


class Status(Protocol):
    """A state of an order or an execution."""

    @property
    def is_terminal(self) -> bool:
        """True when nothing can change it any more."""


class Snapshot(Protocol):
    """An order or an execution as it is told."""

    @property
    def status(self) -> Status:
        """Where it is in its life."""


SnapshotT = TypeVar("SnapshotT", bound=Snapshot)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[SnapshotT]):
    """`tell(id, status, why, code)` is a state that no workflow told, DENIED or CANCELLING."""

    noun: str
    snapshot: type[SnapshotT]
    workflow_types: frozenset[str]
    not_found: type[NotFound]
    broke: type[WorkflowBroke]
    ended: Callable[[SnapshotT], Ended]
    tell: Callable[[str, str, str, DenialCode | None], SnapshotT]

    def absent(self, id: str) -> NotFound:
        """Nothing of this kind has the id."""
        return self.not_found(id, self.noun)

    def conflict(self, id: str) -> SnapshotT:
        """The id is taken by something else."""
        code = DenialCode.IDEMPOTENCY_CONFLICT
        return self.tell(id, DENIED, f"another {self.noun} has this id", code)


ExecutionT = TypeVar("ExecutionT", ArbitrageSnapshot, RebalanceSnapshot)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionsOf(Kind[ExecutionT]):
    """A kind of execution, by the ledger's word for it."""

    kind: ExecutionKind


def _order(id: str, status: str, why: str, code: DenialCode | None) -> OrderSnapshot:
    return OrderSnapshot(order_id=id, status=OrderStatus(status), code=code, reason=why)


def _arbitrage(id: str, status: str, why: str, code: DenialCode | None) -> ArbitrageSnapshot:
    return ArbitrageSnapshot(execution_id=id, status=ExecutionStatus(status), code=code, error=why)


def _rebalance(id: str, status: str, why: str, code: DenialCode | None) -> RebalanceSnapshot:
    return RebalanceSnapshot(execution_id=id, status=ExecutionStatus(status), code=code, error=why)


ORDERS = Kind(
    noun="order",
    snapshot=OrderSnapshot,
    workflow_types=frozenset(WORKFLOW_TYPES.values()),
    not_found=OrderNotFound,
    broke=OrderFailed,
    ended=AlreadyTerminal,
    tell=_order,
)
ARBITRAGES = ExecutionsOf(
    kind=ExecutionKind.ARBITRAGE,
    noun="arbitrage",
    snapshot=ArbitrageSnapshot,
    workflow_types=frozenset({EXECUTION_TYPES[ExecutionKind.ARBITRAGE]}),
    not_found=ExecutionNotFound,
    broke=ExecutionFailed,
    ended=ExecutionEnded,
    tell=_arbitrage,
)
REBALANCES = ExecutionsOf(
    kind=ExecutionKind.REBALANCE,
    noun="rebalancing",
    snapshot=RebalanceSnapshot,
    workflow_types=frozenset({EXECUTION_TYPES[ExecutionKind.REBALANCE]}),
    not_found=ExecutionNotFound,
    broke=ExecutionFailed,
    ended=ExecutionEnded,
    tell=_rebalance,
)
