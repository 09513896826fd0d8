"""Submits and cancels the orders of a plan, as patient callers do: by every route, again and again.

Rule: a caller repeats a submission under the same id until it has a verdict, and gives up after a
bound. What each caller was told is kept, for the judge. It must not look at the exchange.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
from temporalio.client import WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from starters.api.bodies import KEY_HEADER
from starters.api.models import ORDERS_PATH, order_path
from starters.client import (
    WORKFLOW_TYPES,
    AlreadyTerminal,
    OrderFailed,
    OrderNotFound,
    OutcomeUnknown,
    Unavailable,
)
from tests.chaos.plan import PlannedOrder, Route, Stop
from tests.e2e.world import World
from workflows import names
from workflows.domain.orders import OrderType
from workflows.messages import OrderRequest

PATIENCE_S = 25.0
ASK_AGAIN_S = 0.3
RPC_WAIT = timedelta(seconds=2)
HTTP_WAIT_S = 8.0
DENIED, STARTED = "denied", "started"
_NO_VERDICT = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INTERNAL_SERVER_ERROR)


@dataclass(slots=True)
class Told:
    """What the callers of one order were told: statuses by route, in order of arrival.

    `denied ...` has its code; `started` is the plain start's answer, which is no verdict.
    """

    order: PlannedOrder
    verdicts: list[tuple[Route, str]] = field(default_factory=list)

    @property
    def order_id(self) -> str:
        return self.order.order_id

    @property
    def is_promised(self) -> bool:
        """True when somebody was told that the order is there."""
        return any(not verdict.startswith(DENIED) for _, verdict in self.verdicts)


class Desk:
    """Carries out planned orders on a running engine."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._http = httpx.AsyncClient(
            trust_env=False, base_url=world.stack.api_url, timeout=HTTP_WAIT_S
        )
        self._submitters: dict[Route, Callable[[PlannedOrder], Awaitable[str | None]]] = {
            Route.CLIENT: self._by_client,
            Route.HTTP: self._by_http,
            Route.HTTP_KEY: self._by_key,
            Route.PLAIN: self._by_plain_start,
        }
        self._stoppers: dict[Stop, Callable[[str], Awaitable[None]]] = {
            Stop.CLIENT: self._stop_by_client,
            Stop.HTTP: self._stop_by_http,
            Stop.SIGNAL: self._stop_by_signal,
            Stop.TEMPORAL: self._stop_by_temporal,
        }

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def work(self, order: PlannedOrder) -> Told:
        """Submit by all routes, cancel if planned; returns once every caller is answered."""
        told = Told(order)
        stop = [self._stop(order)] if order.stop is not None else []
        submissions = [
            self._submit(told, route, number * order.again_after_s)
            for number, route in enumerate(order.routes)
        ]
        await asyncio.gather(*submissions, *stop)
        return told

    async def _submit(self, told: Told, route: Route, after_s: float) -> None:
        await asyncio.sleep(after_s)
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            verdict = await self._submitters[route](told.order)
            if verdict is not None:
                told.verdicts.append((route, verdict))
                return
            await asyncio.sleep(ASK_AGAIN_S)

    # --- ways in --------------------------------------------------------------------------------

    async def _by_client(self, order: PlannedOrder) -> str | None:
        request = OrderRequest.model_validate({**order.body, "order_id": order.order_id})
        try:
            snapshot = await self._world.orders.submit(request)
        except (OutcomeUnknown, Unavailable, OrderNotFound):
            return None
        except OrderFailed:
            return "failed"
        return f"{DENIED} {snapshot.code}" if snapshot.status == DENIED else str(snapshot.status)

    async def _by_http(self, order: PlannedOrder) -> str | None:
        return await self._post({**order.body, "order_id": order.order_id}, {})

    async def _by_key(self, order: PlannedOrder) -> str | None:
        return await self._post(dict(order.body), {KEY_HEADER: order.key})

    async def _post(self, body: dict[str, object], headers: dict[str, str]) -> str | None:
        try:
            answer = await self._http.post(ORDERS_PATH, json=body, headers=headers)
        except httpx.HTTPError:
            return None
        told = answer.json()
        if answer.status_code == HTTPStatus.CREATED:
            return str(told["status"])
        if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            return f"{DENIED} {told['code']} {told['request_id']}"
        # some denials are 503 too: those are verdicts, "ask again" is not
        is_open = told["code"] in ("OUTCOME_UNKNOWN", "UNAVAILABLE")
        return None if is_open else f"{DENIED} {told['code']}"

    async def _by_plain_start(self, order: PlannedOrder) -> str | None:
        kind = OrderType(str(order.body["order_type"]))
        try:
            await self._world.temporal.start_workflow(
                WORKFLOW_TYPES[kind],
                {**order.body, "order_id": order.order_id},
                id=order.order_id,
                task_queue=names.ORDERS_QUEUE,
                rpc_timeout=RPC_WAIT,
            )
        except RPCError:
            return None
        except WorkflowAlreadyStartedError:
            return STARTED
        return STARTED

    # --- ways out -------------------------------------------------------------------------------

    async def _stop(self, order: PlannedOrder) -> None:
        assert order.stop is not None
        await asyncio.sleep(order.stop.after_s)
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            try:
                await self._stoppers[order.stop.by](order.order_id)
            except (Unavailable, OrderNotFound, httpx.HTTPError, RPCError):
                await asyncio.sleep(ASK_AGAIN_S)
            except (AlreadyTerminal, OrderFailed):
                return
            else:
                return

    async def _stop_by_client(self, order_id: str) -> None:
        await self._world.orders.cancel(order_id)

    async def _stop_by_http(self, order_id: str) -> None:
        answer = await self._http.post(f"{order_path(order_id)}/cancel")
        if answer.status_code in (*_NO_VERDICT, HTTPStatus.NOT_FOUND):
            raise Unavailable(answer.text)

    async def _stop_by_signal(self, order_id: str) -> None:
        await _unless_ended(self._handle(order_id).signal(names.CANCEL, rpc_timeout=RPC_WAIT))

    async def _stop_by_temporal(self, order_id: str) -> None:
        await _unless_ended(self._handle(order_id).cancel(rpc_timeout=RPC_WAIT))

    def _handle(self, order_id: str) -> WorkflowHandle[Any, Any]:
        return self._world.temporal.get_workflow_handle(order_id)


async def _unless_ended(call: Awaitable[None]) -> None:
    """NOT_FOUND: it has ended, or has not begun; a caller asks no more either way."""
    try:
        await call
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
