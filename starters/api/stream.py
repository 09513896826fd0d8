"""What happens, as it happens: a WebSocket, and the same events by polling.

Rule: each reader gets every event that it asked for and may see exactly once, in order, also when
it comes again elsewhere with the last number that it saw. A reader that is too slow, or whose key
ends, is told so and let go; it never holds up the others, and costs no memory while it waits.
"""

import asyncio
import contextlib
import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, WebSocket
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from activities.ledger.view_events import (
    Event,
    EventFilter,
    EventKind,
    EventViews,
    SequenceGoneError,
)
from starters.api.access import Asking, needs
from starters.api.documentation import PATH_CODES, QUERY_CODES, error_answers
from starters.api.errors import ApiCode, ApiError, Code
from starters.api.models import EVENTS_PATH, STREAM_PATH
from starters.api.open_streams import NORMAL, POLICY, TRY_LATER, Closing, OpenStreams
from starters.api.parameters import (
    DEFAULT_LIMIT,
    Connected,
    ExecutionFilter,
    Limit,
    OrderFilter,
    Since,
    StrategyFilter,
    only,
)
from starters.errors import Unavailable
from starters.stream import EventTail, Reader
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode
from workflows.fields import Text, utc_text

HEARTBEAT_S = 15.0
SEND_WITHIN_S = 30.0
CLOSE_WITHIN_S = 10.0
GONE = 4410
"""The WebSocket's code for a number that is not kept; 4000 to 4999 are the application's own."""
_CODES: tuple[Code, ...] = (
    *QUERY_CODES,
    *PATH_CODES,
    DenialCode.INVALID_TYPE,
    DenialCode.OUT_OF_RANGE,
    DenialCode.UNKNOWN_ENUM,
    ApiCode.SEQUENCE_GONE,
    DenialCode.UNAVAILABLE,
)
_FILTERS = ("strategy_id", "order_id", "execution_id", "kinds")

router = APIRouter(tags=["stream"], dependencies=[Depends(needs(Scope.READ))])


class StreamEvent(BaseModel):
    """One change. Decimals are text; what it is not about is null."""

    seq: int = Field(description="its number: without gaps, in the order of commits")
    at: datetime
    kind: EventKind
    account: str | None
    strategy_id: str | None
    exchange: str | None
    symbol: str | None
    order_id: str | None
    execution_id: str | None
    data: dict[str, Any] = Field(description="what is so now; its fields depend on the kind")


class EventList(BaseModel):
    """Events, oldest first."""

    events: list[StreamEvent]
    seq: int = Field(description="give it as `since` to go on from here")
    oldest: int = Field(description="the oldest number that is kept")
    head: int = Field(description="the newest number")


def _kinds(text: str | None) -> frozenset[EventKind] | None:
    if text is None:
        return None
    try:
        return frozenset(map(EventKind, text.split(",")))
    except ValueError as error:
        known = ", ".join(EventKind)
        raise ApiError(
            DenialCode.UNKNOWN_ENUM, f"kinds are some of: {known}", field="kinds"
        ) from error


def _wanted(
    asking: Asking,
    strategy_id: StrategyFilter = None,
    order_id: OrderFilter = None,
    execution_id: ExecutionFilter = None,
    kinds: Annotated[Text | None, Query(description="only these, as `order,fill`")] = None,
) -> EventFilter:
    return EventFilter(
        strategy_id=strategy_id,
        order_id=order_id,
        execution_id=execution_id,
        kinds=_kinds(kinds),
        accounts=asking.accounts,
    )


def _tail(connection: HTTPConnection) -> EventTail:
    tail: EventTail = connection.app.state.events
    return tail


Wanted = Annotated[EventFilter, Depends(_wanted)]
Tail = Annotated[EventTail, Depends(_tail)]


@router.get(
    EVENTS_PATH,
    responses=error_answers(*_CODES),
    dependencies=[Depends(only("since", "limit", *_FILTERS))],
)
async def list_events(
    connections: Connected, wanted: Wanted, since: Since = None, limit: Limit = DEFAULT_LIMIT
) -> EventList:
    """The events after `since`; without it the newest. For who cannot hold a stream open.

    Each answer looks at the next 5,000 events; `seq` says how far it came, whatever it found.
    """
    try:
        async with connections.reading(EventViews) as views:
            page = await views.page(since, limit, wanted)
    except SequenceGoneError as error:
        raise ApiError(ApiCode.SEQUENCE_GONE, str(error), field="since") from error
    told = [StreamEvent(**_fields(event)) for event in page.events]
    return EventList(events=told, seq=page.seq, oldest=page.kept.oldest, head=page.kept.head)


@router.websocket(STREAM_PATH, dependencies=[Depends(only("since", *_FILTERS))])
async def stream(
    websocket: WebSocket, asking: Asking, tail: Tail, wanted: Wanted, since: Since = None
) -> None:
    """Every event after `since`, and all that follow; without it from now on."""
    streams: OpenStreams = websocket.app.state.streams
    token: str | None = getattr(websocket.state, "token", None)
    with streams.admit(asking, token) as ended:
        await websocket.accept()
        try:
            async with tail.reader(since) as reader:
                why = await _until_over(websocket, reader, wanted, ended)
        except SequenceGoneError as error:
            why = Closing(status=GONE, code=ApiCode.SEQUENCE_GONE, message=str(error))
        except Unavailable as error:
            why = Closing(status=TRY_LATER, code=DenialCode.UNAVAILABLE, message=str(error))
        await _close(websocket, why)


async def _until_over(
    websocket: WebSocket, reader: Reader, wanted: EventFilter, ended: "asyncio.Future[Closing]"
) -> Closing:
    """Send until the reader leaves, is too slow, or must go. Raises SequenceGoneError."""
    sending = asyncio.create_task(_send_all(websocket, reader, wanted))
    leaving = asyncio.create_task(_until_gone(websocket))
    try:
        done, _ = await asyncio.wait({sending, leaving, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
    return next(iter(done)).result()


async def _send_all(websocket: WebSocket, reader: Reader, wanted: EventFilter) -> Closing:
    kept = reader.kept
    try:
        await _send(websocket, {"type": "hello", "seq": kept.head, "oldest": kept.oldest})
        async for batch in reader.batches(wanted.accepts, idle_s=HEARTBEAT_S):
            for event in batch:
                await _send(websocket, {"type": "event", **_fields(event)})
            if not batch:
                await _send(websocket, {"type": "heartbeat", "seq": reader.seq})
    except TimeoutError:
        return Closing(status=TRY_LATER, message="too slow: come again with the last number seen")
    except WebSocketDisconnect:
        pass
    return Closing(status=NORMAL)


async def _until_gone(websocket: WebSocket) -> Closing:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        return Closing(status=NORMAL)
    return Closing(status=POLICY, code=ApiCode.BAD_REQUEST, message="the stream takes no messages")


async def _send(websocket: WebSocket, message: dict[str, Any]) -> None:
    """One message, once the connection takes it. Raises TimeoutError after SEND_WITHIN_S."""
    async with asyncio.timeout(SEND_WITHIN_S):
        await websocket.send_text(json.dumps(message, separators=(",", ":"), default=str))


async def _close(websocket: WebSocket, why: Closing) -> None:
    """Say why, if anybody is there to hear it; it is not waited for long."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(CLOSE_WITHIN_S):
            if why.code is not None:
                error = {"type": "error", "code": why.code.value, "message": why.message}
                await _send(websocket, error)
            await websocket.close(why.status, why.message[:100])


def _fields(event: Event) -> dict[str, Any]:
    """The event as it is told."""
    return {
        "seq": event.seq,
        "at": utc_text(event.at),
        "kind": event.kind.value,
        "account": event.account,
        "strategy_id": event.strategy_id,
        "exchange": event.exchange,
        "symbol": event.symbol,
        "order_id": event.order_id,
        "execution_id": event.execution_id,
        "data": dict(event.data),
    }
