"""What other services rely on, as data: workflow types, their handlers, and each one's messages.

Rule: a name or a message that a caller may use stands here, and only such; the schemas, the page of
the contract and its tests are made from it. Workflows that the engine starts for itself are not
part of it. It must not know how a message is carried out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from starters.kinds import EXECUTION_TYPES, PREVIEW_TYPE, SYNC_TYPE, WORKFLOW_TYPES
from workflows import names
from workflows.domain.executions import ExecutionKind
from workflows.execution_messages import (
    ArbitragePlan,
    ArbitrageSnapshot,
    RebalancePlan,
    RebalanceSnapshot,
)
from workflows.messages import CancelRequest, OrderRequest, OrderSnapshot
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import AmendRequest, ResolveRequest, SteerRequest
from workflows.sync_messages import SyncReport, SyncRequest


class HandlerKind(StrEnum):
    """How a running workflow is spoken to."""

    QUERY = "query"
    SIGNAL = "signal"
    UPDATE = "update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One query, signal or update. `takes` may always be left out where it is optional."""

    kind: HandlerKind
    name: str
    takes: type | None = None
    is_optional: bool = True
    answers: type | None = None
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """Workflow types that are spoken to alike."""

    types: tuple[str, ...]
    takes: type
    answers: type
    handlers: tuple[Handler, ...] = ()
    meaning: str

    def messages(self) -> Iterator[tuple[type, bool]]:
        """Each message, and whether it is one that the caller sends."""
        yield self.takes, True
        yield self.answers, False
        for handler in self.handlers:
            if handler.takes is not None:
                yield handler.takes, True
            if handler.answers is not None:
                yield handler.answers, False


def _common(takes: type, answers: type) -> tuple[Handler, ...]:
    """What orders and executions have alike."""
    return (
        Handler(
            kind=HandlerKind.QUERY,
            name=names.PROGRESS,
            answers=answers,
            meaning="where it is now; also after its end",
        ),
        Handler(
            kind=HandlerKind.SIGNAL,
            name=names.CANCEL,
            takes=CancelRequest,
            meaning="cancel; any payload or none",
        ),
        Handler(
            kind=HandlerKind.UPDATE,
            name=names.CANCEL,
            takes=CancelRequest,
            answers=answers,
            meaning="cancel; the final state, or `cancelling` after 5 s",
        ),
        Handler(
            kind=HandlerKind.UPDATE,
            name=names.ACCEPT,
            takes=takes,
            answers=answers,
            meaning="wait until it is accepted or denied; with a body, deny another one's id",
        ),
        Handler(
            kind=HandlerKind.UPDATE,
            name=names.RESOLVE,
            takes=ResolveRequest,
            is_optional=False,
            answers=answers,
            meaning="an operator's verdict on a child order whose outcome is unknown",
        ),
    )


def _steering(name: str, takes: type, meaning: str, *, is_optional: bool = True) -> Handler:
    return Handler(
        kind=HandlerKind.UPDATE,
        name=name,
        takes=takes,
        is_optional=is_optional,
        answers=OrderSnapshot,
        meaning=meaning,
    )


WORKFLOWS: tuple[Workflow, ...] = (
    Workflow(
        types=tuple(dict.fromkeys(WORKFLOW_TYPES.values())),
        takes=OrderRequest,
        answers=OrderSnapshot,
        handlers=(
            *_common(OrderRequest, OrderSnapshot),
            _steering(names.PAUSE, SteerRequest, "take back what rests and send nothing more"),
            _steering(names.RESUME, SteerRequest, "go on after a pause"),
            _steering(
                names.AMEND, AmendRequest, "change price, quantity, end or rate", is_optional=False
            ),
        ),
        meaning="one order; the workflow id is the order id",
    ),
    Workflow(
        types=(PREVIEW_TYPE,),
        takes=OrderRequest,
        answers=OrderPreview,
        meaning="what an order would do; nothing is sent or stored",
    ),
    Workflow(
        types=(EXECUTION_TYPES[ExecutionKind.ARBITRAGE],),
        takes=ArbitragePlan,
        answers=ArbitrageSnapshot,
        handlers=_common(ArbitragePlan, ArbitrageSnapshot),
        meaning="buy here, sell there; the workflow id is the execution id",
    ),
    Workflow(
        types=(EXECUTION_TYPES[ExecutionKind.REBALANCE],),
        takes=RebalancePlan,
        answers=RebalanceSnapshot,
        handlers=_common(RebalancePlan, RebalanceSnapshot),
        meaning="trade to target weights; the workflow id is the execution id",
    ),
    Workflow(
        types=(SYNC_TYPE,),
        takes=SyncRequest,
        answers=SyncReport,
        meaning="compare a venue with the ledger now",
    ),
)
"""Every workflow that a caller may start, in the order in which people should read of them."""
