"""Orders of every kind while the infrastructure fails, and what must be true of all of them.

Rule: each answer of the API is kept, and each order is followed to its end. What was accepted is
never lost, what was refused never trades, and the exchange's own log is the judge of both.
"""

import asyncio
import itertools
import time
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from starters.api.gate import KEYS_UNCHECKED
from starters.client import AlreadyTerminal, OrderNotFound
from tests.e2e.infra_world import ACCEPT_TIMEOUT_S, API_ANSWERS_WITHIN_S, APIS, Infra
from tests.e2e.proof import assert_ledger_is_exchange, assert_one_order_per_child, story_of
from tests.e2e.world import BEST_ASK, BEST_BID, HEDGE, World
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import client_order_id
from workflows.messages import OrderSnapshot

END_WITHIN_S = 45.0
BACK_WITHIN_S = 30.0
FAR = Decimal(49_000)
"""A buy at this price rests until somebody cancels it."""
POLL_S = 0.1
THROUGH = Decimal(100)
"""What goes this far through the book rests never, and so trades with nobody of ours."""
KINDS: tuple[dict[str, Any], ...] = (
    {"order_type": "market", "side": "buy"},
    # the account of the sells is not that of the buys: what could trade with our own is refused
    {"order_type": "market", "side": "sell", "account": HEDGE},
    {"order_type": "limit", "side": "buy", "price": BEST_ASK + THROUGH},
    {"order_type": "limit", "side": "sell", "price": BEST_BID - THROUGH, "account": HEDGE},
    {"order_type": "limit", "side": "buy", "price": FAR},
    {
        "order_type": "twap",
        "side": "buy",
        "quantity": "0.03",
        "twap_slices": 3,
        "twap_interval": Decimal(1),
    },
)
ENDS = {OrderStatus.FILLED, OrderStatus.EXPIRED, OrderStatus.CANCELLED}
"""How an accepted order may end while something is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One order that was asked for, and what the API said."""

    body: dict[str, Any]
    status: int
    said: str
    elapsed_s: float

    @property
    def order_id(self) -> str:
        return str(self.body["order_id"])

    @property
    def rests(self) -> bool:
        return self.body.get("price") == str(FAR)

    @property
    def as_snapshot(self) -> OrderSnapshot:
        return OrderSnapshot(order_id=self.order_id, status=OrderStatus.PENDING)


@dataclass
class Load:
    """Asks for orders and follows them; `ended` by order id, None for one that never was."""

    infra: Infra
    answers: list[Answered] = field(default_factory=list)
    ended: dict[str, OrderSnapshot | None] = field(default_factory=dict)

    async def ask(self, kind: dict[str, Any], api: str = APIS[0]) -> Answered:
        """One order; the API must answer in time, and honestly."""
        body = self.infra.body(**kind)
        started = time.monotonic()
        response = await self.infra.post(body, api)
        elapsed_s = time.monotonic() - started
        _assert_honest(response, str(body["order_id"]), elapsed_s)
        answered = Answered(
            body=body, status=response.status_code, said=response.text, elapsed_s=elapsed_s
        )
        self.answers.append(answered)
        return answered

    async def ask_all(self) -> list[Answered]:
        """One order of each kind at once, by both APIs in turn."""
        pairs = zip(KINDS, itertools.cycle(APIS))
        return await asyncio.gather(*(self.ask(kind, api) for kind, api in pairs))

    async def keep_asking(self, pause_s: float, stop: asyncio.Event) -> None:
        """An order every `pause_s`, whether or not the last one was answered, until `stop`."""
        async with asyncio.TaskGroup() as asking:
            for kind, api in zip(itertools.cycle(KINDS), itertools.cycle((*APIS, APIS[0]))):
                asking.create_task(self.ask(kind, api))
                try:
                    await asyncio.wait_for(stop.wait(), pause_s)
                except TimeoutError:
                    continue
                return

    def accepted(self) -> int:
        return sum(answer.status == httpx.codes.CREATED for answer in self.answers)

    async def assert_fills(self) -> None:
        """An order is soon accepted and filled: everything is back."""
        async with asyncio.timeout(BACK_WITHIN_S):
            while (answer := await self.ask(KINDS[0])).status != httpx.codes.CREATED:
                await asyncio.sleep(POLL_S)  # an honest 503
        end = await self.infra.world.finish(answer.as_snapshot, END_WITHIN_S)
        assert end.status is OrderStatus.FILLED, end

    async def assert_all_ended(self) -> None:
        """Every order came to its right end; ledger, callers and exchange agree on all of it."""
        await asyncio.gather(*(self._follow(answer) for answer in self.answers))
        world = self.infra.world
        for answer in self.answers:
            end = self.ended[answer.order_id]
            if end is None or end.status is OrderStatus.DENIED:
                assert answer.status != httpx.codes.CREATED, f"{answer} was lost"
                first = client_order_id(answer.order_id, 0)
                assert world.log().orders_named(first) == [], f"{answer} traded late"
            else:
                assert end.status in ENDS, end
                assert_one_order_per_child(world, end)
        await assert_ledger_is_exchange(world)

    async def _follow(self, answer: Answered) -> None:
        world = self.infra.world
        if answer.rests:
            with suppress(OrderNotFound, AlreadyTerminal):
                await world.orders.cancel(answer.order_id)
        try:
            self.ended[answer.order_id] = await world.finish(answer.as_snapshot, END_WITHIN_S)
        except OrderNotFound:
            self.ended[answer.order_id] = None
        except TimeoutError:
            story = await story_of(world, answer.order_id)
            waits = await _pending(world, answer.order_id)
            raise AssertionError(f"no end of {answer}\n{story}\n{waits}") from None


async def _pending(world: World, order_id: str) -> str:
    """What the order waits for: its activities under way, with their last failures."""
    told = await world.temporal.get_workflow_handle(order_id).describe()
    return "\n".join(
        f"{each.activity_type.name} attempt {each.attempt} state {each.state} "
        f"{each.last_failure.message}"
        for each in told.raw_description.pending_activities
    )


def _assert_honest(response: httpx.Response, order_id: str, elapsed_s: float) -> None:
    """201, or 503 with the order's id and a time after which its fate is known.

    Where the ledger cannot say whose key it is, the order was not even read: it has no id then.
    """
    said = f"{response.status_code} {response.text} after {elapsed_s:.1f} s"
    assert elapsed_s <= API_ANSWERS_WITHIN_S, said
    assert response.status_code in (201, 503), said
    if response.json().get("message") == KEYS_UNCHECKED:
        assert "X-Order-Id" not in response.headers, said
        return
    assert response.headers["X-Order-Id"] == order_id, said
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        assert int(response.headers["Retry-After"]) >= ACCEPT_TIMEOUT_S, said
