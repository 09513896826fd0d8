"""An operator's word on a child whose outcome is unknown: the update `resolve`.

Theory of operation. The verdict goes into the ledger, for this attempt alone. The activity that
looks for the child at its venue finds it there at its next try, and obeys: nothing of the protocol
changes, and an answer of the venue that came first stands. The order shows it among its actions.
"""

from abc import ABC
from collections.abc import Callable

from temporalio import workflow
from temporalio.common import RawValue

from workflows import names, ports
from workflows.child_state import ChildState
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import ChildStatus
from workflows.messages import OrderSnapshot
from workflows.order_face import OrderFace
from workflows.refusals import data_of, raise_if
from workflows.steering_messages import (
    MAX_ACTIONS_SHOWN,
    ActionKind,
    ActionView,
    ResolveRequest,
    parse_resolve,
    told_verdict,
)

ChildOf = Callable[[ResolveRequest], ChildState | None]
"""The child that a verdict names, where it is live."""


def check_verdict(asked: ResolveRequest | Denied, child_of: ChildOf) -> Denied | None:
    """Why this verdict cannot be taken."""
    if isinstance(asked, Denied):
        return asked
    child = child_of(asked)
    is_live = child is not None and child.intent.child_index == asked.child
    if child is not None and is_live and child.status is ChildStatus.UNKNOWN:
        return None
    what = child.status if child is not None and is_live else "not live"
    return Denied(
        code=DenialCode.NOT_UNKNOWN, field="child", detail=f"child {asked.child} is {what}"
    )


async def take_verdict(raw: bytes | None, child_of: ChildOf) -> tuple[ResolveRequest, str | None]:
    """Store the verdict on the child's attempt; it, and when it was stored. Raises the refusal."""
    asked = parse_resolve(raw)
    raise_if(check_verdict(asked, child_of))  # a replayed update has passed no validator
    assert isinstance(asked, ResolveRequest), "else it was refused"
    child = child_of(asked)
    assert child is not None, "else it was refused"
    recorded = await ports.record_verdict(
        ports.RecordVerdict(
            client_order_id=child.intent.client_order_id,
            attempt=child.attempt,
            verdict=asked.verdict,
            venue_order_id=asked.exchange_order_id,
            reason=asked.reason,
            by=asked.requested_by,
        )
    )
    raise_if(recorded.denied)
    return asked, recorded.at


class ResolvableOrder(OrderFace, ABC):
    """An order whose unknown child an operator may decide on."""

    @workflow.update(name=names.RESOLVE, description="an operator's verdict on an unknown child")
    async def resolve(self, request: RawValue | None = None) -> OrderSnapshot:
        """Store the verdict; the child follows it within half a minute."""
        asked, at = await take_verdict(data_of(request), self._child_to_resolve)
        if at is not None:  # an older ledger did not tell: nothing was shown of it then
            self._show_verdict(asked, at)
        return self.snapshot()

    @resolve.validator
    def check_resolve(self, request: RawValue | None = None) -> None:
        """Refuse a verdict on what is not unknown."""
        raise_if(check_verdict(parse_resolve(data_of(request)), self._child_to_resolve))

    def _show_verdict(self, asked: ResolveRequest, at: str) -> None:
        state = self.state
        if any(each.kind is ActionKind.RESOLVE and each.at == at for each in state.actions):
            return  # the same verdict again
        action = ActionView(
            index=state.actions_total + state.verdicts_total,
            kind=ActionKind.RESOLVE,
            at=at,
            requested_by=asked.requested_by,
            reason=asked.reason,
            detail=told_verdict(asked.child, asked.verdict, asked.exchange_order_id),
        )
        self._change(
            actions=(*state.actions, action)[-MAX_ACTIONS_SHOWN:],
            verdicts_total=state.verdicts_total + 1,
        )

    def _child_to_resolve(self, asked: ResolveRequest) -> ChildState | None:
        is_mine = asked.order_id in (None, self.order_id)
        return self.live if is_mine else None
