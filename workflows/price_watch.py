"""One durable follower per symbol at a venue: it keeps one long activity alive in the fleet.

However many triggers wait for the symbol's price, this is the one workflow that follows it. The
activity evaluates them and signals their owners; all it must remember is in the ledger. It ends
when nobody waits any more. Whoever arms a trigger starts it by a signal: the server lets no
workflow end over a signal that it has not seen, so a trigger armed at that moment is followed.
"""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows import names, ports
from workflows.domain.denials import DenialCode


@workflow.defn(name="PriceWatch")
class PriceWatch:
    """Follows one symbol's prices while triggers wait for them."""

    def __init__(self) -> None:
        self._is_needed = False

    @workflow.run
    async def run(self, request: ports.FollowPrices | None = None) -> None:
        """`request` names the venue, the symbol, and the account whose gateway asks."""
        if not isinstance(request, ports.FollowPrices):  # None, or whatever else came raw
            raise ApplicationError(
                "venue and symbol are missing", type=DenialCode.INVALID_INPUT, non_retryable=True
            )
        workflow.set_current_details(f"following **{request.symbol}** at **{request.venue}**")
        self._is_needed = False  # what was armed until now is in the ledger, and will be found
        followed = await ports.follow_prices(request)
        if followed.is_idle and not self._is_needed:
            return
        workflow.continue_as_new(request)

    @workflow.signal(name=names.WATCH_ARMED)
    def watch_armed(self) -> None:
        """A trigger was armed: somebody must follow, even if the last turn found nothing to do."""
        self._is_needed = True
