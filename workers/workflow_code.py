"""The workflow types that workers run and replayers check, and the sandbox for both."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.account_feed import AccountFeed
from workflows.market_and_limit import LimitOrder, MarketOrder
from workflows.twap import TwapOrder

WORKFLOWS = (MarketOrder, LimitOrder, TwapOrder, AccountFeed)


def sandbox() -> SandboxedWorkflowRunner:
    """The workflow sandbox, with our own pure package loaded once instead of per workflow."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules("workflows")
    )
