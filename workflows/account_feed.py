"""One durable feed per venue account: it keeps one long activity alive somewhere in the fleet.

The activity catches up, follows the private stream, books fills and signals the orders that own
them. This workflow only remembers the cursor: in the activity's heartbeat while it runs, and in
its own input when a turn is over.
"""

from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows import ports
from workflows.domain.denials import DenialCode


@workflow.defn(name="AccountFeed")
class AccountFeed:
    """Follows one account for ever; `temporal workflow cancel` ends it."""

    @workflow.run
    async def run(self, request: ports.FollowAccount | None = None) -> None:
        """`request` names the venue and account, and carries the cursor between turns."""
        if not isinstance(request, ports.FollowAccount):  # None, or whatever else came raw
            raise ApplicationError(
                "venue and account are missing", type=DenialCode.INVALID_INPUT, non_retryable=True
            )
        workflow.set_current_details(f"following **{request.account}** at **{request.venue}**")
        cursor = await ports.follow_account(request)
        workflow.continue_as_new(replace(request, cursor=cursor))
