"""Settling an order whose own workflow was terminated, timed out or deleted.

What it left at its venue is cancelled, what is unknown is resolved, fills are waited for, and the
order ends in the ledger with what is true of it. Nothing is ever sent for it. The child's protocol
is the same as everywhere: only the parent, who would go on, is not there any more. Children are
worked side by side: one that stays unknown, or whose fills are missing, must not keep another one
live at its venue.
"""

import asyncio
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from workflows import names, ports
from workflows.child_order import ChildContext, ChildOrder
from workflows.child_state import ChildState, Priced
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.orders import ChildIntent
from workflows.refusals import data_of, raise_if
from workflows.resolving import check_verdict, take_verdict
from workflows.shielded import let_handlers_finish, run_to_its_end
from workflows.steering_messages import ResolveRequest, parse_resolve

_UNSENT = (ChildStatus.NEW, ChildStatus.READY)


@workflow.defn(name="SettleOrder")
class SettleOrder:
    """Take a lost order over, settle what it left, end it."""

    def __init__(self) -> None:
        self._children: list[ChildOrder] = []
        self._said = "nothing was left to settle"

    @workflow.run
    async def run(self, request: ports.LostOrder | None = None) -> str:
        """`request` names the order; the answer says what was done."""
        if not isinstance(request, ports.LostOrder):  # None, or whatever else came raw
            raise ApplicationError(
                "order_id is missing", type=DenialCode.INVALID_INPUT, non_retryable=True
            )
        protocol = await run_to_its_end(self._settle(request), _keep_on)
        protocol.result()
        await let_handlers_finish(_keep_on)
        return self._said

    async def _settle(self, request: ports.LostOrder) -> None:
        taken = await ports.take_over(request)
        if taken.request is None:
            return
        workflow.set_current_details(f"settles {len(taken.children)} child orders")
        context = ChildContext(
            terms=taken.terms,
            parent_quantity=taken.request.quantity,
            reprice=_never,
            is_cancelled=lambda: True,
            should_hand_over=lambda: False,
            give_up=ports.give_up_in_turn,
        )
        self._children = [
            ChildOrder(_as_state(known, taken.epoch), context) for known in taken.children
        ]
        await asyncio.gather(*(_settled(child) for child in self._children))
        await ports.end_lost(request)
        self._said = f"settled {len(taken.children)} child orders"

    @workflow.update(name=names.RESOLVE, description="an operator's verdict on an unknown child")
    async def resolve(self, request: RawValue | None = None) -> dict[str, str]:
        """Store the verdict; the child follows it within half a minute."""
        await take_verdict(data_of(request), self._child_of)
        return {"workflow_id": workflow.info().workflow_id}

    @resolve.validator
    def check_resolve(self, request: RawValue | None = None) -> None:
        """Refuse a verdict on what is not unknown."""
        raise_if(check_verdict(parse_resolve(data_of(request)), self._child_of))

    def _child_of(self, asked: ResolveRequest) -> ChildState | None:
        found = [c.state for c in self._children if c.state.intent.child_index == asked.child]
        unknown = [child for child in found if child.status is ChildStatus.UNKNOWN]
        return next(iter([*unknown, *found]), None)


async def _settled(child: ChildOrder) -> None:
    await child.work()
    await child.settle()


def _as_state(known: ports.KnownChild, epoch: str) -> ChildState:
    """The child as the ledger knows it; what may have been sent is looked for.

    Without the venue's word it has no venue order id to ask by, whatever its status says.
    """
    status = known.status
    if known.report is None and status not in _UNSENT:
        status = ChildStatus.UNKNOWN
    elif status in (ChildStatus.SENDING, ChildStatus.CANCELLING):
        status = ChildStatus.WORKING
    return ChildState(
        intent=known.intent,
        reference_price=known.intent.price or Decimal(1),
        priced_at=workflow.now(),
        status=status,
        attempt=known.attempt,
        epoch=epoch,
        report=known.report,
    )


def _keep_on() -> None:
    """A cancel changes nothing: everything is being cancelled already."""


async def _never(intent: ChildIntent) -> Priced | None:
    """Nothing is priced: nothing is sent."""
    del intent
    return None
