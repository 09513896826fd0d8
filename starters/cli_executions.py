"""What the commands of arbitrages and rebalancings do: ask, show, and answer with an exit code.

Exit codes: 0 completed (or started, without --watch), 1 anything else that ended or does not
answer, 2 the input is wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic

from activities.ledger.views import InvalidCursorError
from starters import cli_show, cli_show_executions, executions
from starters.calls import POLL_INTERVAL_S, WATCH_PATIENCE_S
from starters.cli_actions import USER_REQUEST, at_once, connected, invalid_cursor
from starters.cli_input import DONE, FAILED, ExecutionFilter, exit_code_of_denial
from starters.cli_show_executions import ARBITRAGE_LOOK, REBALANCE_LOOK, Look
from starters.cli_watch import Watched, interruptible
from starters.client import DeltaClient
from starters.errors import ExecutionEnded
from starters.kinds import ARBITRAGES, REBALANCES, ExecutionsOf, ExecutionT
from workers.settings import Settings
from workflows.domain.denials import DenialCode
from workflows.domain.executions import ExecutionStatus
from workflows.execution_messages import ArbitrageSnapshot, RebalanceSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk(Generic[ExecutionT]):
    """One kind of execution at the command line. `command` is its word there."""

    command: str
    kind: ExecutionsOf[ExecutionT]
    look: Look[ExecutionT]


ARBITRAGE = Desk(command="arbitrage", kind=ARBITRAGES, look=ARBITRAGE_LOOK)
REBALANCE = Desk(command="rebalance", kind=REBALANCES, look=REBALANCE_LOOK)


def start(
    settings: Settings,
    desk: Desk[ExecutionT],
    execution_id: str,
    ask: Callable[[DeltaClient], Awaitable[ExecutionT]],
    *,
    watch: bool,
    as_json: bool,
) -> int:
    """Start it; with `watch` follow it to its end. Returns the exit code."""
    watched = _watched(settings, desk, execution_id, as_json=as_json)

    async def run() -> int:
        async with connected(settings) as connections:
            client = await connections.orders()
            snapshot = await ask(client)
            watched.is_started = True
            if snapshot.status is ExecutionStatus.DENIED or not watch:
                cli_show_executions.started(desk.look, snapshot, as_json=as_json)
                return _code(snapshot)
            return _code(await _follow(client, desk, execution_id, as_json=as_json))

    return interruptible(run, watched)


def show(
    settings: Settings, desk: Desk[ExecutionT], execution_id: str, *, watch: bool, as_json: bool
) -> int:
    """Show it once, or to its end. Returns the exit code."""

    async def run() -> int:
        async with connected(settings) as connections:
            snapshot = await executions.find_execution(connections, desk.kind, execution_id)
            if watch and not snapshot.status.is_terminal:
                client = await connections.orders()
                return _code(await _follow(client, desk, execution_id, as_json=as_json))
        cli_show_executions.execution(desk.look, snapshot, as_json=as_json)
        return _code(snapshot) if watch else DONE

    watched = _watched(settings, desk, execution_id, as_json=as_json)
    watched.is_started = True
    return interruptible(run, watched)


def cancel(
    settings: Settings,
    desk: Desk[ExecutionT],
    execution_id: str,
    reason: str,
    *,
    watch: bool,
    as_json: bool,
) -> int:
    """Cancel it. Done when it is cancelled, or when the cancel is on its way."""

    async def run() -> int:
        async with connected(settings) as connections:
            try:
                snapshot = await executions.cancel_execution(
                    connections, desk.kind, execution_id, reason
                )
            except ExecutionEnded as error:
                if error.snapshot.status is not ExecutionStatus.CANCELLED:
                    cli_show.complain(f"{DenialCode.ALREADY_TERMINAL}: {error}")
                    return FAILED
                snapshot = await executions.find_execution(connections, desk.kind, execution_id)
            if watch and not snapshot.status.is_terminal:
                client = await connections.orders()
                return _cancelled_code(await _follow(client, desk, execution_id, as_json=as_json))
        cli_show_executions.execution(desk.look, snapshot, as_json=as_json)
        return _cancelled_code(snapshot)

    return at_once(run)


def list_page(
    settings: Settings, desk: Desk[ExecutionT], wanted: ExecutionFilter, *, as_json: bool
) -> int:
    """Show one page of a kind, newest first. Returns the exit code."""

    async def run() -> int:
        async with connected(settings) as connections:
            try:
                found, following = await executions.list_executions(
                    connections, desk.kind, **dict(wanted)
                )
            except InvalidCursorError:
                raise invalid_cursor() from None
        cli_show_executions.page(desk.look, found, following, as_json=as_json)
        return DONE

    return asyncio.run(run())


# --- shared ---------------------------------------------------------------------------------------


async def _follow(
    client: DeltaClient, desk: Desk[ExecutionT], execution_id: str, *, as_json: bool
) -> ExecutionT:
    """Show it after each change, up to its end, which is returned."""
    changes = client.calls(desk.kind).watch(
        execution_id, poll_interval_s=POLL_INTERVAL_S, patience_s=WATCH_PATIENCE_S
    )
    with cli_show_executions.following(desk.look, as_json=as_json) as show_change:
        async for snapshot in changes:
            show_change(snapshot)
    if not as_json:
        cli_show_executions.started(desk.look, snapshot, as_json=False)
    return snapshot


def _watched(
    settings: Settings, desk: Desk[ExecutionT], execution_id: str, *, as_json: bool
) -> Watched:
    def cancel_it() -> int:
        return cancel(settings, desk, execution_id, USER_REQUEST, watch=False, as_json=as_json)

    noun = desk.kind.noun
    return Watched(noun=noun, id=execution_id, command=desk.command, cancel=cancel_it)


def _code(snapshot: ArbitrageSnapshot | RebalanceSnapshot) -> int:
    """DONE while it runs too: then it was only started."""
    if snapshot.status is ExecutionStatus.COMPLETED or not snapshot.status.is_terminal:
        return DONE
    is_denied = snapshot.status is ExecutionStatus.DENIED
    return exit_code_of_denial(snapshot.code) if is_denied else FAILED


def _cancelled_code(snapshot: ArbitrageSnapshot | RebalanceSnapshot) -> int:
    """FAILED when it ended otherwise before the cancel could take hold."""
    is_cancelled = snapshot.status is ExecutionStatus.CANCELLED
    return DONE if is_cancelled or not snapshot.status.is_terminal else FAILED
