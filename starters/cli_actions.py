"""What the order commands do: ask, show, and answer with an exit code.

Rule: orders go straight to Temporal, lists come from the ledger; the HTTP API is not needed. Exit
codes: 0 done, 1 the order did not complete or was denied by the state of things, 2 the input is
wrong.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

from activities.ledger.views import InvalidCursorError
from starters import cli_show, lookup
from starters.cli_input import (
    DONE,
    FAILED,
    InvalidInputError,
    OrderFilter,
    exit_code_of_denial,
)
from starters.cli_watch import Watched, following, interruptible
from starters.connections import Connections
from starters.errors import AlreadyTerminal
from workers.settings import Settings
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import CancelRequest, OrderRequest, OrderSnapshot

AnswerT = TypeVar("AnswerT")
USER_REQUEST = CancelRequest().reason


def place(settings: Settings, request: OrderRequest, *, watch: bool, as_json: bool) -> int:
    """Start the order; with `watch` follow it to its end. Returns the exit code."""
    order_id = request.order_id or ""
    watched = _watched(settings, order_id, as_json=as_json)

    async def run() -> int:
        async with connected(settings) as connections:
            client = await connections.orders()
            snapshot = await client.submit(request)
            watched.is_started = True
            if snapshot.status is OrderStatus.DENIED or not watch:
                cli_show.started(snapshot, settings, as_json=as_json)
                return _accepted_code(snapshot)
            return await _follow(connections, order_id, as_json=as_json)

    return interruptible(run, watched)


def show_order(settings: Settings, order_id: str, *, as_json: bool) -> int:
    """Show one order. Returns the exit code."""

    async def run() -> int:
        async with connected(settings) as connections:
            snapshot = await lookup.find_order(connections, order_id)
        cli_show.order(snapshot, settings, as_json=as_json)
        return DONE

    return asyncio.run(run())


def show_progress(settings: Settings, order_id: str, *, watch: bool, as_json: bool) -> int:
    """Show how far an order is, once or to its end. Returns the exit code."""

    async def run() -> int:
        async with connected(settings) as connections:
            if watch:
                return await _follow(connections, order_id, as_json=as_json)
            snapshot = await lookup.find_progress(connections, order_id)
        cli_show.progress(snapshot, as_json=as_json)
        return DONE

    watched = _watched(settings, order_id, as_json=as_json)
    watched.is_started = True
    return interruptible(run, watched)


def cancel_order(settings: Settings, order_id: str, reason: str, *, as_json: bool) -> int:
    """Cancel the order. Done when it is cancelled, or when the cancel is on its way."""

    async def run() -> int:
        async with connected(settings) as connections:
            try:
                snapshot = await lookup.cancel_order(connections, order_id, reason)
            except AlreadyTerminal as error:
                if error.snapshot.status is not OrderStatus.CANCELLED:
                    cli_show.complain(f"{DenialCode.ALREADY_TERMINAL}: {error}")
                    return FAILED
                snapshot = error.snapshot
        cli_show.order(snapshot, settings, as_json=as_json)
        is_cancelled = snapshot.status in (OrderStatus.CANCELLED, OrderStatus.CANCELLING)
        return DONE if is_cancelled or not snapshot.status.is_terminal else FAILED

    return at_once(run)


def list_page(settings: Settings, wanted: OrderFilter, *, as_json: bool) -> int:
    """Show one page of orders, newest first. Returns the exit code."""

    async def run() -> int:
        async with connected(settings) as connections:
            try:
                found, following = await lookup.list_orders(connections, **dict(wanted))
            except InvalidCursorError:
                raise invalid_cursor() from None
        cli_show.page(found, following, as_json=as_json)
        return DONE

    return asyncio.run(run())


# --- shared ---------------------------------------------------------------------------------------


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connections]:
    """Connections for one command, given back at its end."""
    connections = Connections(settings)
    try:
        yield connections
    finally:
        await connections.close()


def at_once(run: Callable[[], Coroutine[None, None, AnswerT]]) -> AnswerT:
    """Ask for one thing. Who stops it by Ctrl-C is told that it may have been heard."""
    try:
        return asyncio.run(run())
    except KeyboardInterrupt:
        cli_show.complain("interrupted; what was asked for may still happen")
        raise


async def _follow(connections: Connections, order_id: str, *, as_json: bool) -> int:
    """Show the order after each change, up to its end."""
    with following(as_json=as_json) as show:
        async for snapshot in lookup.watch_order(connections, order_id):
            show(snapshot)
    if not as_json:
        cli_show.outcome(snapshot)
    return _final_code(snapshot)


def invalid_cursor() -> InvalidInputError:
    """The page cursor was not made here."""
    return InvalidInputError(
        Denied(code=DenialCode.INVALID_CURSOR, detail="cursor is not one of ours")
    )


def _accepted_code(snapshot: OrderSnapshot) -> int:
    """The code of an order that was only started: one that has ended badly did not complete."""
    return _final_code(snapshot) if snapshot.status.is_terminal else DONE


def _final_code(snapshot: OrderSnapshot) -> int:
    if snapshot.status is OrderStatus.FILLED:
        return DONE
    is_denied = snapshot.status is OrderStatus.DENIED
    return exit_code_of_denial(snapshot.code) if is_denied else FAILED


def _watched(settings: Settings, order_id: str, *, as_json: bool) -> Watched:
    def cancel() -> int:
        return cancel_order(settings, order_id, USER_REQUEST, as_json=as_json)

    return Watched(noun="order", id=order_id, command="orders", cancel=cancel)
