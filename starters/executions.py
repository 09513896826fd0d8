"""Where an execution is found: its workflow knows the newest, the ledger remembers all.

One that has ended is the ledger's to tell, which outlives Temporal's retention and knows which
run's word counts. One that is at work is asked itself; while Temporal is away, the ledger tells
what is booked of it.
"""

from starters.connections import Connections
from starters.errors import DeltaError, ExecutionEnded, NotFound, Unavailable, WorkflowBroke
from starters.kinds import ExecutionsOf, ExecutionT
from starters.stored_executions import told_by
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionStatus

Accounts = frozenset[str] | None


async def find_execution(
    connections: Connections,
    kind: ExecutionsOf[ExecutionT],
    execution_id: str,
    *,
    accounts: Accounts = None,
) -> ExecutionT:
    """The execution now. Raises ExecutionNotFound, Unavailable."""
    found = await _find(connections, kind, execution_id)
    if accounts is not None and found.account not in accounts:
        raise kind.absent(execution_id)
    return found


async def _find(
    connections: Connections, kind: ExecutionsOf[ExecutionT], execution_id: str
) -> ExecutionT:
    try:
        stored = await _find_stored(connections, kind, execution_id)
    except Unavailable as away:
        try:
            return await _ask(connections, kind, execution_id)
        except NotFound:  # by Temporal, which forgets
            raise away from None
    if stored is None:
        told = await _ask(connections, kind, execution_id)
        if told.code is DenialCode.IDEMPOTENCY_CONFLICT:  # the id is another kind's
            raise kind.absent(execution_id)
        return told
    if stored.status.is_terminal:
        return stored
    try:
        told = await _ask(connections, kind, execution_id)
    except (Unavailable, NotFound):
        return stored
    # a refusal of another body hides the execution that has this id
    return stored if told.code is DenialCode.IDEMPOTENCY_CONFLICT else told


async def cancel_execution(
    connections: Connections,
    kind: ExecutionsOf[ExecutionT],
    execution_id: str,
    reason: str,
    *,
    accounts: Accounts = None,
) -> ExecutionT:
    """Cancel it; its final state, or `cancelling`.

    Raises ExecutionEnded, ExecutionNotFound, Unavailable.
    """
    if accounts is not None:
        await find_execution(connections, kind, execution_id, accounts=accounts)
    try:
        return await (await connections.orders()).calls(kind).cancel(execution_id, reason)
    except (NotFound, ExecutionEnded, WorkflowBroke) as error:
        raise await _why_not(connections, kind, execution_id, error) from error


async def _why_not(
    connections: Connections, kind: ExecutionsOf[ExecutionT], execution_id: str, told: DeltaError
) -> DeltaError:
    """Why there is nothing to cancel: the ledger's word where it has one, else Temporal's."""
    try:
        stored = await _find_stored(connections, kind, execution_id)
    except Unavailable as away:
        return told if isinstance(told, ExecutionEnded) else away
    if stored is None:
        return kind.absent(execution_id) if isinstance(told, WorkflowBroke) else told
    if stored.status.is_terminal:
        return ExecutionEnded(stored)
    # its workflow is lost, and will be started again to settle what it left
    return Unavailable(f"{kind.noun} {execution_id} is being taken up again")


async def list_executions(
    connections: Connections,
    kind: ExecutionsOf[ExecutionT],
    *,
    strategy_id: str | None = None,
    status: ExecutionStatus | None = None,
    accounts: Accounts = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[ExecutionT], str | None]:
    """A page of a kind, newest first, as the ledger knows them; and the next page's cursor.

    Raises InvalidCursorError, Unavailable.
    """
    async with connections.ledger() as ledger:
        rows, following = await ledger.executions(
            kind.kind,
            strategy_id=strategy_id,
            status=status,
            accounts=accounts,
            limit=limit,
            cursor=cursor,
        )
    return [told_by(kind, row) for row in rows], following


async def _find_stored(
    connections: Connections, kind: ExecutionsOf[ExecutionT], execution_id: str
) -> ExecutionT | None:
    async with connections.ledger() as ledger:
        row = await ledger.execution(execution_id)
        if row is None or row.kind != kind.kind:
            return None
        legs = () if row.snapshot else await ledger.execution_legs(execution_id)
    return told_by(kind, row, legs)


async def _ask(
    connections: Connections, kind: ExecutionsOf[ExecutionT], execution_id: str
) -> ExecutionT:
    """Raises ExecutionNotFound also for one whose workflow broke before it was registered."""
    try:
        return await (await connections.orders()).calls(kind).progress(execution_id)
    except WorkflowBroke as error:
        raise kind.absent(execution_id) from error
