"""The life of an execution: several orders under one id, with one named end.

An *execution* (an arbitrage, a rebalancing) is worked by one workflow; each of its orders is a
*leg order* with an id of its own, made of the execution's id and the leg's name.
"""

from enum import StrEnum

from workflows.domain.lifecycle import IllegalTransitionError


class ExecutionKind(StrEnum):
    """What an execution is; the ledger keeps both kinds in one table."""

    ARBITRAGE = "arbitrage"
    REBALANCE = "rebalance"


class ExecutionStatus(StrEnum):
    """States of an execution. All but the first three are final."""

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    """As planned: with profit, or with a loss within its bound."""
    PARTIAL = "partial"
    """Less than planned, and nothing left over."""
    UNWOUND = "unwound"
    """What one leg filled was reversed where it had filled."""
    RESIDUAL_HELD = "residual_held"
    """Something is left over that a human must know of."""
    FAILED = "failed"
    """Nothing was traded."""
    DENIED = "denied"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True when nothing can change the execution any more."""
        return self not in _LIVE


_LIVE = frozenset({ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.CANCELLING})
_ENDS = frozenset(ExecutionStatus) - _LIVE

EXECUTION_TRANSITIONS: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    ExecutionStatus.PENDING: frozenset(
        {ExecutionStatus.RUNNING, ExecutionStatus.DENIED, ExecutionStatus.FAILED}
    ),
    ExecutionStatus.RUNNING: frozenset({ExecutionStatus.CANCELLING, *_ENDS}),
    # completed out of cancelling: the fills won the race against the cancel
    ExecutionStatus.CANCELLING: frozenset(_ENDS),
    **{status: frozenset() for status in _ENDS},
}


class Outcome(StrEnum):
    """What an arbitrage came to, in the words of its profit."""

    PROFIT = "PROFIT"
    LOSS_BOUNDED = "LOSS_BOUNDED"
    UNWOUND = "UNWOUND"
    RESIDUAL_HELD = "RESIDUAL_HELD"
    ABORTED = "ABORTED"


def move_execution(current: ExecutionStatus, target: ExecutionStatus) -> ExecutionStatus:
    """The next state; staying where it is is always legal."""
    if target is current or target in EXECUTION_TRANSITIONS[current]:
        return target
    raise IllegalTransitionError(f"execution: {current} -> {target}")
