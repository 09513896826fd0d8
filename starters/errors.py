"""What can go wrong between a caller and its work, grouped by what the caller must do.

DeltaError
  Unavailable         nothing was asked, or a read stayed unanswered: try again
  OutcomeUnknown      it may have been started: ask for it under its `id`
  NotFound            nothing of this kind has this id
    OrderNotFound
    ExecutionNotFound
  Ended               it had ended before it could be steered: `snapshot` is its end
    AlreadyTerminal   an order
    ExecutionEnded    an arbitrage or a rebalancing
  Refused             the order goes on as it was: `denied` says why it cannot be steered so
  EffectPending       accepted and kept, and takes effect soon: `snapshot` is the order now
  PartOfExecution     the order belongs to `execution_id`: ask for that
  WorkflowBroke       the workflow broke or was terminated
    OrderFailed       a human must look
    ExecutionFailed   the engine takes it up again and settles what it left
"""

# ruff: noqa: N818 - part of the public face: each is named as the state that it is

from workflows.domain.denials import Denied
from workflows.execution_messages import ArbitrageSnapshot, RebalanceSnapshot
from workflows.messages import OrderSnapshot


class DeltaError(Exception):
    """The root of the tree above."""


class Unavailable(DeltaError):
    """Temporal, a worker or the ledger does not answer. Nothing was changed."""


class _OfOne(DeltaError):
    """About one order or execution."""

    def __init__(self, id: str, message: str) -> None:
        super().__init__(message)
        self.id = id


class OutcomeUnknown(_OfOne):
    """It was asked for and no verdict came in time; it may be started or not.

    Asking again with the same `id` is safe. What was not accepted within ACCEPT_TIMEOUT ends
    denied and never trades late.
    """

    def __init__(self, id: str, noun: str = "order") -> None:
        super().__init__(id, f"no verdict yet on {noun} {id}; ask for it by its id")
        self.noun = noun


class NotFound(_OfOne):
    """Nothing of this kind has this id."""

    def __init__(self, id: str, noun: str = "order") -> None:
        super().__init__(id, f"no {noun} {id}")


class OrderNotFound(NotFound):
    """No order has this id."""


class ExecutionNotFound(NotFound):
    """No execution of the kind asked for has this id."""


class Ended(_OfOne):
    """It had ended before it could be cancelled, paused, resumed or amended."""


class AlreadyTerminal(Ended):
    """The order had ended before it could be steered; `snapshot` is its final state."""

    def __init__(self, snapshot: OrderSnapshot) -> None:
        super().__init__(snapshot.order_id, f"order {snapshot.order_id} is {snapshot.status}")
        self.snapshot = snapshot


class ExecutionEnded(Ended):
    """The execution had ended before it could be cancelled; `snapshot` is its final state."""

    def __init__(self, snapshot: ArbitrageSnapshot | RebalanceSnapshot) -> None:
        execution_id = snapshot.execution_id
        super().__init__(execution_id, f"execution {execution_id} is {snapshot.status}")
        self.snapshot = snapshot


class Refused(_OfOne):
    """A pause, resume or amendment that the order refused; nothing has changed."""

    def __init__(self, order_id: str, denied: Denied) -> None:
        super().__init__(order_id, denied.detail or denied.code)
        self.denied = denied


class EffectPending(_OfOne):
    """A pause, resume or amendment was accepted and is kept; it takes effect within one slice or
    tip, or is refused then. `snapshot` is the order now, `actions` in it will tell."""

    def __init__(self, snapshot: OrderSnapshot) -> None:
        order_id = snapshot.order_id
        super().__init__(order_id, f"order {order_id} takes it up with its next slice or tip")
        self.snapshot = snapshot


class PartOfExecution(_OfOne):
    """A leg is its execution's to steer, which would otherwise compensate for the loss of it."""

    def __init__(self, order_id: str, execution_id: str) -> None:
        super().__init__(
            order_id, f"order {order_id} is part of execution {execution_id}: cancel that"
        )
        self.execution_id = execution_id


class WorkflowBroke(_OfOne):
    """The workflow failed or was terminated: no snapshot of its end exists."""


class OrderFailed(WorkflowBroke):
    """The order's workflow failed or was terminated: a human must look."""


class ExecutionFailed(WorkflowBroke):
    """The execution's workflow is lost; the engine starts it again and settles what it left."""
