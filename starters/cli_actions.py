"""What the order commands do: check the input, ask, show, and answer with an exit code.

Rule: input is checked by the engine's own rules before anything is connected. Orders go straight
to Temporal, lists come from the ledger; the HTTP API is not needed. Exit codes: 0 done, 1 the
order did not complete or was denied by the state of things, 2 the input is wrong.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from activities.ledger.views import MAX_PAGE, InvalidCursorError
from starters import cli_show, lookup
from starters.client import AlreadyTerminal, DeltaClient
from starters.connections import Connections
from workers.settings import Settings
from workflows.domain.denials import DenialCode, Denied, http_status
from workflows.domain.lifecycle import OrderStatus
from workflows.fields import Identifier, Text, WholeNumber, denial_of, in_range
from workflows.messages import CancelRequest, OrderRequest, OrderSnapshot, validate_order

DONE, FAILED, BAD_USAGE = 0, 1, 2
_WHOLE_FIELDS = ("priority", "twap_slices", "catch_up_cap", "limit")
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_BAD_INPUT = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


class InvalidInputError(Exception):
    """An option is wrong: `CODE: message`, as over HTTP."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(str(denied))


class OrderFilter(BaseModel):
    """Which orders to list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy_id: Identifier | None = None
    symbol: Text | None = None
    status: OrderStatus | None = None
    exchange: Identifier | None = None
    limit: Annotated[WholeNumber, in_range(Decimal(1), Decimal(MAX_PAGE))] = 50
    cursor: Text | None = None


# --- reading the input ----------------------------------------------------------------------------


def read_request(
    order_type: str, fields: Mapping[str, str | bool | None], *, default_exchange: str
) -> OrderRequest:
    """The order that the options describe, with its id; raises InvalidInputError."""
    given = {"order_type": order_type, "exchange": default_exchange, **_given(fields)}
    order = validate_order(given)
    if isinstance(order, Denied):
        raise InvalidInputError(order)
    return order.model_copy(update={"order_id": order.order_id or uuid4().hex})


def read_filter(fields: Mapping[str, str | None]) -> OrderFilter:
    """The filter that the options describe; raises InvalidInputError."""
    try:
        return OrderFilter.model_validate(_given(fields))
    except ValidationError as error:
        raise InvalidInputError(denial_of(error)) from None


def read_id(text: str) -> str:
    """An order id; raises InvalidInputError."""
    try:
        return TypeAdapter(Identifier).validate_python(text)
    except ValidationError as error:
        denied = denial_of(error)
        detail = denied.detail.replace("body", "order_id", 1)
        raise InvalidInputError(Denied(code=denied.code, detail=detail)) from None


def read_reason(text: str) -> str:
    """The reason of a cancel; raises InvalidInputError."""
    try:
        return CancelRequest(reason=text).reason
    except ValidationError as error:
        raise InvalidInputError(denial_of(error)) from None


def _given(fields: Mapping[str, str | bool | None]) -> dict[str, Any]:
    """The options that were given; whole numbers as numbers, all else as it was typed."""
    found: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    for name in _WHOLE_FIELDS:
        if isinstance(text := found.get(name), str) and _WHOLE.fullmatch(text):
            found[name] = int(text)
    return found


# --- the commands ---------------------------------------------------------------------------------


def place(settings: Settings, request: OrderRequest, *, watch: bool, as_json: bool) -> int:
    """Start the order; with `watch` follow it to its end. Returns the exit code."""
    order_id = request.order_id or ""

    async def run() -> int:
        async with _connected(settings) as connections:
            client = await connections.orders()
            snapshot = await client.submit(request)
            if snapshot.status is OrderStatus.DENIED or not watch:
                cli_show.order(snapshot, settings, as_json=as_json)
                return _accepted_code(snapshot)
            return await _follow(client, order_id, as_json=as_json)

    try:
        return asyncio.run(run())
    except KeyboardInterrupt:
        return _left_running(order_id)


def show_order(settings: Settings, order_id: str, *, as_json: bool) -> int:
    """Show one order. Returns the exit code."""

    async def run() -> int:
        async with _connected(settings) as connections:
            snapshot = await lookup.find_order(connections, order_id)
        cli_show.order(snapshot, settings, as_json=as_json)
        return DONE

    return asyncio.run(run())


def show_progress(settings: Settings, order_id: str, *, watch: bool, as_json: bool) -> int:
    """Show how far an order is, once or to its end. Returns the exit code."""

    async def run() -> int:
        async with _connected(settings) as connections:
            if watch:
                return await _follow(await connections.orders(), order_id, as_json=as_json)
            snapshot = await lookup.find_progress(connections, order_id)
        cli_show.progress(snapshot, as_json=as_json)
        return DONE

    try:
        return asyncio.run(run())
    except KeyboardInterrupt:
        return _left_running(order_id)


def cancel_order(settings: Settings, order_id: str, reason: str, *, as_json: bool) -> int:
    """Cancel the order. Done when it is cancelled, or when the cancel is on its way."""

    async def run() -> int:
        async with _connected(settings) as connections:
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

    return asyncio.run(run())


def list_page(settings: Settings, wanted: OrderFilter, *, as_json: bool) -> int:
    """Show one page of orders, newest first. Returns the exit code."""

    async def run() -> int:
        async with _connected(settings) as connections:
            try:
                async with connections.ledger() as ledger:
                    found, following = await ledger.orders(**dict(wanted))
            except InvalidCursorError:
                denied = Denied(code=DenialCode.INVALID_CURSOR, detail="cursor is not one of ours")
                raise InvalidInputError(denied) from None
        cli_show.page(found, following, as_json=as_json)
        return DONE

    return asyncio.run(run())


# --- shared ---------------------------------------------------------------------------------------


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Connections]:
    connections = Connections(settings)
    try:
        yield connections
    finally:
        await connections.close()


async def _follow(client: DeltaClient, order_id: str, *, as_json: bool) -> int:
    """Show the order after each change, up to its end."""
    with cli_show.following(as_json=as_json) as show:
        async for snapshot in client.watch(order_id):
            show(snapshot)
    if not as_json:
        cli_show.outcome(snapshot)
    return _final_code(snapshot)


def _accepted_code(snapshot: OrderSnapshot) -> int:
    """The code of an order that was only started: one that has ended badly did not complete."""
    return _final_code(snapshot) if snapshot.status.is_terminal else DONE


def _final_code(snapshot: OrderSnapshot) -> int:
    if snapshot.status is OrderStatus.FILLED:
        return DONE
    is_bad_input = snapshot.code is not None and http_status(snapshot.code) in _BAD_INPUT
    return BAD_USAGE if snapshot.status is OrderStatus.DENIED and is_bad_input else FAILED


def _left_running(order_id: str) -> int:
    cli_show.complain(
        f"\nstopped watching; order {order_id} goes on. "
        f"Cancel it with: python -m starters orders cancel {order_id}"
    )
    return FAILED
