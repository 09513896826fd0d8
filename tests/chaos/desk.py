"""Submits, steers and cancels what a plan has, as patient callers do: again and again.

Rule: a caller repeats a submission under the same id until it has a verdict, and gives up after a
bound. What each caller was told is kept, for the judge. Arbitrages that wait for each other do so
lane by lane. It must not look at the exchange.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx
from temporalio.client import WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from starters.api.bodies import KEY_HEADER
from starters.api.models import ORDERS_PATH
from starters.errors import (
    EffectPending,
    Ended,
    NotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
    WorkflowBroke,
)
from starters.kinds import EXECUTION_TYPES, WORKFLOW_TYPES
from tests.api_client import open_client
from tests.chaos.planned import (
    Planned,
    PlannedArbitrage,
    PlannedOrder,
    PlannedSteer,
    Route,
    Stop,
)
from tests.e2e.world import World
from workflows import names
from workflows.domain.executions import ExecutionKind
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType
from workflows.execution_messages import ArbitragePlan
from workflows.messages import OrderRequest
from workflows.steering_messages import ActionKind, AmendRequest, SteerRequest

ARBITRAGE_PATH = "/api/v1/arbitrage"
PATIENCE_S = 25.0
LANE_PATIENCE_S = 20.0
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

    order: Planned
    verdicts: list[tuple[Route, str]] = field(default_factory=list)
    steered: list[str] = field(default_factory=list)
    """What those heard who steered it: `pause ok`, `amend FIELD_NOT_ALLOWED`."""

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
        self._http = open_client(world.stack.settings, timeout=HTTP_WAIT_S)
        self._submitters: dict[Route, Callable[[Planned], Awaitable[str | None]]] = {
            Route.CLIENT: self._by_client,
            Route.HTTP: self._by_http,
            Route.HTTP_KEY: self._by_key,
            Route.PLAIN: self._by_plain_start,
        }
        self._stoppers: dict[Stop, Callable[[Planned], Awaitable[None]]] = {
            Stop.CLIENT: self._stop_by_client,
            Stop.HTTP: self._stop_by_http,
            Stop.SIGNAL: self._stop_by_signal,
            Stop.TEMPORAL: self._stop_by_temporal,
        }

        self._lanes: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def work(self, order: Planned) -> Told:
        """Submit by all routes, cancel if planned; returns once every caller is answered."""
        if not (isinstance(order, PlannedArbitrage) and order.waits):
            return await self._work(order)
        async with self._lanes[order.lane]:
            told = await self._work(order)
            await self._until_over(order)
            return told

    async def _work(self, order: Planned) -> Told:
        told = Told(order)
        stop = [self._stop(order)] if order.stop is not None else []
        submissions = [
            self._submit(told, route, number * order.again_after_s)
            for number, route in enumerate(order.routes)
        ]
        steers = order.steers if isinstance(order, PlannedOrder) else ()
        await asyncio.gather(*submissions, *stop, *(self._steer(told, each) for each in steers))
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

    async def _until_over(self, order: PlannedArbitrage) -> None:
        """Wait for its end, so that the lane is free; not for ever."""
        try:
            async with asyncio.timeout(LANE_PATIENCE_S):
                while True:
                    try:
                        await self._world.orders.arbitrage_result(order.order_id)
                    except Unavailable:
                        await asyncio.sleep(ASK_AGAIN_S)
                    else:
                        return
        except (TimeoutError, NotFound, WorkflowBroke):
            return

    # --- ways in --------------------------------------------------------------------------------

    async def _by_client(self, order: Planned) -> str | None:
        client, body = self._world.orders, body_of(order)
        try:
            if isinstance(order, PlannedArbitrage):
                arbitrage = await client.execute_arbitrage(ArbitragePlan.model_validate(body))
                status, code = str(arbitrage.status), arbitrage.code
            else:
                told = await client.submit(OrderRequest.model_validate(body))
                status, code = str(told.status), told.code
        except (OutcomeUnknown, Unavailable, NotFound):
            return None
        except WorkflowBroke:
            return "failed"
        return f"{DENIED} {code}" if status == DENIED else status

    async def _by_http(self, order: Planned) -> str | None:
        is_of_key = order.order_id != order.key
        headers = {KEY_HEADER: order.key} if is_of_key else {}
        return await self._post(order, body_of(order), headers)

    async def _by_key(self, order: Planned) -> str | None:
        return await self._post(order, dict(order.body), {KEY_HEADER: order.key})

    async def _post(
        self, order: Planned, body: dict[str, object], headers: dict[str, str]
    ) -> str | None:
        try:
            answer = await self._http.post(_path_of(order), json=body, headers=headers)
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

    async def _by_plain_start(self, order: Planned) -> str | None:
        try:
            await self._world.temporal.start_workflow(
                workflow_type_of(order),
                body_of(order),
                id=order.order_id,
                task_queue=names.ORDERS_QUEUE,
                rpc_timeout=RPC_WAIT,
            )
        except RPCError:
            return None
        except WorkflowAlreadyStartedError:
            return STARTED
        return STARTED

    # --- steering -------------------------------------------------------------------------------

    async def _steer(self, told: Told, steer: PlannedSteer) -> None:
        """Ask until there is an answer; an order that has ended is one."""
        await asyncio.sleep(steer.after_s)
        ask = self._steer_by_http if steer.by is Route.HTTP else self._steer_by_client
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            heard = await ask(told.order_id, steer)
            if heard is not None:
                told.steered.append(f"{steer.kind} {heard}")
                return
            await asyncio.sleep(ASK_AGAIN_S)

    async def _steer_by_client(self, order_id: str, steer: PlannedSteer) -> str | None:
        body = _body_of_steer(steer)
        is_amend = steer.kind is ActionKind.AMEND
        model = AmendRequest if is_amend else SteerRequest
        try:
            await self._world.orders.steer(steer.kind, order_id, model.model_validate(body))
        except Refused as refused:
            return str(refused.denied.code)
        except (Unavailable, NotFound, OutcomeUnknown):
            return None
        except (Ended, WorkflowBroke):
            return "ended"
        except EffectPending:
            return "pending"
        return "ok"

    async def _steer_by_http(self, order_id: str, steer: PlannedSteer) -> str | None:
        path, body = f"{ORDERS_PATH}/{order_id}", _body_of_steer(steer)
        try:
            if steer.kind is ActionKind.AMEND:
                answer = await self._http.patch(path, json=body)
            else:
                answer = await self._http.post(f"{path}/{steer.kind}", json=body)
        except httpx.HTTPError:
            return None
        if answer.is_success:
            return "ok"
        code = str(answer.json()["code"])
        return None if code in ("OUTCOME_UNKNOWN", "UNAVAILABLE", "NOT_FOUND") else code

    async def resume(self, order_id: str) -> bool:
        """Let an order go on that is paused, be it by a halt; whether it does."""
        give_up = time.monotonic() + PATIENCE_S
        steer = PlannedSteer(kind=ActionKind.RESUME, by=Route.CLIENT, after_s=0)
        while time.monotonic() < give_up:
            try:
                order = await self._world.orders.progress(order_id)
                if order.status is not OrderStatus.PAUSED:
                    return False
            except Unavailable:
                await asyncio.sleep(ASK_AGAIN_S)
                continue
            except (NotFound, WorkflowBroke):
                return False
            heard = await self._steer_by_client(order_id, steer)
            if heard is not None:
                return heard == "ok"
            await asyncio.sleep(ASK_AGAIN_S)
        return False

    async def end(self, order_id: str) -> None:
        """Cancel an order that may wait for ever; one that has ended is left alone."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            try:
                await self._world.orders.cancel(order_id, "the run is over")
            except Unavailable:
                await asyncio.sleep(ASK_AGAIN_S)
            except (Ended, NotFound, WorkflowBroke):
                return
            else:
                return

    # --- ways out -------------------------------------------------------------------------------

    async def _stop(self, order: Planned) -> None:
        assert order.stop is not None
        await asyncio.sleep(order.stop.after_s)
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            try:
                await self._stoppers[order.stop.by](order)
            except (Unavailable, NotFound, httpx.HTTPError, RPCError):
                await asyncio.sleep(ASK_AGAIN_S)
            except (Ended, WorkflowBroke):
                return
            else:
                return

    async def _stop_by_client(self, order: Planned) -> None:
        client, order_id = self._world.orders, order.order_id
        if isinstance(order, PlannedArbitrage):
            await client.cancel_arbitrage(order_id)
        else:
            await client.cancel(order_id)

    async def _stop_by_http(self, order: Planned) -> None:
        answer = await self._http.post(f"{_path_of(order)}/{order.order_id}/cancel")
        if answer.status_code in (*_NO_VERDICT, HTTPStatus.NOT_FOUND):
            raise Unavailable(answer.text)

    async def _stop_by_signal(self, order: Planned) -> None:
        handle = self._handle(order.order_id)
        await _unless_ended(handle.signal(names.CANCEL, rpc_timeout=RPC_WAIT))

    async def _stop_by_temporal(self, order: Planned) -> None:
        await _unless_ended(self._handle(order.order_id).cancel(rpc_timeout=RPC_WAIT))

    def _handle(self, order_id: str) -> WorkflowHandle[Any, Any]:
        return self._world.temporal.get_workflow_handle(order_id)


def body_of(order: Planned) -> dict[str, object]:
    """Its body with its id, as it is submitted."""
    name = "id" if isinstance(order, PlannedArbitrage) else "order_id"
    return {**order.body, name: order.order_id}


def _body_of_steer(steer: PlannedSteer) -> dict[str, object]:
    body: dict[str, object] = {**steer.changes}
    if steer.ends_after_s is not None:
        ends_at = datetime.now(UTC) + timedelta(seconds=steer.ends_after_s)
        body["end_at"] = ends_at.isoformat()
    return body


def workflow_type_of(order: Planned) -> str:
    """The workflow that works it."""
    if isinstance(order, PlannedArbitrage):
        return EXECUTION_TYPES[ExecutionKind.ARBITRAGE]
    return WORKFLOW_TYPES[OrderType(str(order.body["order_type"]))]


def _path_of(order: Planned) -> str:
    return ARBITRAGE_PATH if isinstance(order, PlannedArbitrage) else ORDERS_PATH


async def _unless_ended(call: Awaitable[None]) -> None:
    """NOT_FOUND: it has ended, or has not begun; a caller asks no more either way."""
    try:
        await call
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
