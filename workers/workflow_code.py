"""The workflow types that workers run and replayers check, and the sandbox for both.

Temporal asks an instance for the serialization context of every payload, inside its sandbox, which
costs an order a tenth of its time. Our converter and codec do not look at that context, so it is
answered outside. Whoever adds a converter, codec or external storage that does look must take this
away.
"""

from typing import Any

from temporalio import workflow
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.account_feed import AccountFeed
from workflows.arbitrage import Arbitrage
from workflows.iceberg import IcebergOrder
from workflows.market_and_limit import LimitOrder, MarketOrder
from workflows.preview import PreviewOrder
from workflows.price_watch import PriceWatch
from workflows.public_data import ReadSymbols, ReadWindow
from workflows.rebalance import Rebalance
from workflows.settle_order import SettleOrder
from workflows.stop import StopOrder
from workflows.sync_positions import SyncPositions
from workflows.twap import TwapOrder

WORKFLOWS = (
    MarketOrder,
    LimitOrder,
    TwapOrder,
    IcebergOrder,
    StopOrder,
    PreviewOrder,
    Arbitrage,
    Rebalance,
    AccountFeed,
    PriceWatch,
    SettleOrder,
    SyncPositions,
    ReadSymbols,
    ReadWindow,
)


class _WithoutContext(WorkflowInstance):
    """A sandboxed instance whose payloads need no context."""

    def __init__(self, inner: WorkflowInstance) -> None:
        self._inner = inner

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._inner.activate(act)

    def get_serialization_context(self, command_info: Any) -> None:
        del command_info

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        del command_info
        return StorageDriverStoreContext(target=None)

    def get_info(self) -> workflow.Info:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()


class _Sandbox(SandboxedWorkflowRunner):
    """Temporal's sandbox; see the module's docstring."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _WithoutContext(super().create_instance(det))


def sandbox() -> SandboxedWorkflowRunner:
    """The workflow sandbox, with our own pure package loaded once instead of per workflow."""
    return _Sandbox(restrictions=SandboxRestrictions.default.with_passthrough_modules("workflows"))
