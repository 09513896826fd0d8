"""Longer cases of the HTTP client: operators' calls, and what is seen of alarms.

Each is one flow on a running stack; the module that has the stack runs them side by side.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from activities.venues.simulator.faults.client import ControlClient
from starters.alarms import Alarm
from starters.api.models import Order
from starters.connections import Connections
from starters.decisions import ChildVerdict
from starters.http_client import DeltaHttpClient
from starters.http_stream import StreamGone
from starters.keys import KeyRequest, NewKey, create_key
from tests.e2e.fault_proxy import FaultProxy
from tests.integration.http_calls import WITHIN_S, counts, place, refused, until_status
from tests.integration.starters_stack import ORDER, RESTING, new_id
from workers.local_stack import LocalStack
from workflows.domain.access import Scope
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import client_order_id
from workflows.steering_messages import Verdict


@asynccontextmanager
async def another(
    stack: LocalStack, name: str, *scopes: Scope, account: str | None = None
) -> AsyncIterator[DeltaHttpClient]:
    """A client with a key of its own, bound to an account or not."""
    connections = Connections(stack.settings)
    accounts = None if account is None else (account,)
    asked = KeyRequest(name=name, scopes=scopes, accounts=accounts)
    made = await create_key(connections, asked, by="test")
    await connections.close()
    assert isinstance(made, NewKey)
    async with DeltaHttpClient(stack.api_url, made.key) as client:
        yield client


async def alarm_about(delta: DeltaHttpClient, code: str, about: str) -> Alarm:
    """The open alarm, once it is raised."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            for each in (await delta.alarms()).alarms:
                if (each.code, each.object) == (code, about):
                    return each
            await asyncio.sleep(0.1)


async def an_unknown_child_is_decided(delta: DeltaHttpClient, faults: ControlClient) -> None:
    """The verdict stands among the order's actions, while it runs and after its end alike."""
    order_id = new_id()
    child = client_order_id(order_id, 0)
    aim = {"path": "/order", "client_order_id": child}
    lost = await faults.add("drop_before", method="POST", **aim)
    silent = await faults.add("server_error", method="GET", times=0, **aim)
    await place(delta, {**RESTING, "strategy_id": "decided", "order_id": order_id})
    async with asyncio.timeout(WITHIN_S):
        while not _is_unknown(await delta.order(order_id)):
            await asyncio.sleep(0.1)
    absent = ChildVerdict(verdict=Verdict.ABSENT, reason="not on its page")
    wrong = await refused(delta.resolve(order_id, 3, absent))
    assert (wrong.status, wrong.code) == (409, "NOT_UNKNOWN")
    decided = await delta.resolve(order_id, 0, absent)
    (action,) = decided.actions
    assert (action.kind, action.detail) == ("resolve", "child 0 absent")
    assert (action.requested_by, action.reason) == ("local", "not on its page")
    assert await faults.hits(lost) == 1
    await faults.remove(silent)
    await delta.cancel(order_id)
    ended = await until_status(delta, order_id, OrderStatus.CANCELLED)
    assert [each.model_dump() for each in ended.actions] == [action.model_dump()]


def _is_unknown(order: Order) -> bool:
    return any(each.status is ChildStatus.UNKNOWN for each in order.children)


async def a_strategy_is_disabled_and_re_armed(delta: DeltaHttpClient) -> None:
    """Its alarm can be taken up; one that nobody took up is closed by the re-arming."""
    scope, reason = "strategy:daily", "drill"
    limit = {"scope": scope, "name": "max_parents_per_day", "reason": reason}
    await delta.set_risk_limit({**limit, "value": "1"})
    for is_taken in (True, False):
        for quantity in ("0.011", "0.012"):
            order = {**ORDER, "strategy_id": "daily", "order_id": new_id(), "quantity": quantity}
            placed = place(delta, order)
            if quantity == "0.011":
                await until_status(delta, (await placed).order_id, OrderStatus.FILLED)
            else:
                assert (await refused(placed)).code == "STRATEGY_DISABLED"
        alarm = await alarm_about(delta, "STRATEGY_DISABLED", scope)
        if is_taken:
            taken = await delta.acknowledge_alarm(alarm.id, note="on it")
            assert (taken.acknowledged_by, taken.note) == ("local", "on it")
            assert await delta.acknowledge_alarm(alarm.id, note="on it") == taken
        armed = await delta.rearm({"strategy_id": "daily", "reason": reason})
        assert (armed.disabled, armed.parents_today) == (None, 0)
        told = await alarm_of(delta, alarm.id)
        by = ("local", "on it") if is_taken else ("engine", "resolved")
        assert (told.acknowledged_by, told.note) == by
    await delta.set_risk_limit(limit)
    assert (await refused(delta.acknowledge_alarm(10**9))).code == "NOT_FOUND"


async def alarm_of(delta: DeltaHttpClient, number: int) -> Alarm:
    """The alarm with this number, open or not."""
    (found,) = [
        each for each in (await delta.alarms(acknowledged=True)).alarms if each.id == number
    ]
    return found


async def an_override_takes_two(delta: DeltaHttpClient, other: DeltaHttpClient) -> None:
    asked = {"scope": "strategy:let", "code": "RISK_MAX_QTY", "minutes": 5, "reason": "drill"}
    override = await delta.request_override(asked)
    assert (await refused(delta.approve_override(override.id))).status in (403, 409)
    approved = await other.approve_override(override.id)
    assert (approved.status, approved.requested_by, approved.approved_by) == (
        "in_force",
        "local",
        "second",
    )
    assert override.id in {each.id for each in (await delta.overrides()).overrides}
    assert (await delta.revoke_override(override.id)).status == "revoked"


async def a_transfer_moves_our_books(delta: DeltaHttpClient) -> None:
    """There and back at once: the exchange knows nothing of it."""
    held = {each.asset: each.ours for each in (await delta.balances("okx")).balances}
    before = held["USDT"]
    assert before is not None
    for amount, wanted in (("5", before + 5), ("-5", before)):
        moved = await delta.book_transfer(
            "okx", {"asset": "USDT", "amount": amount, "reason": "drill"}
        )
        assert {each.asset: each.ours for each in moved.balances}["USDT"] == wanted
    unknown = {"asset": "XYZ", "amount": "1", "reason": "drill"}
    assert (await refused(delta.book_transfer("okx", unknown))).code == "UNKNOWN_ASSET"


async def each_kind_of_order_tells_its_progress(delta: DeltaHttpClient) -> None:
    base = {**RESTING, "strategy_id": "progress", "quantity": "0.02"}
    twap = {**base, "order_type": "twap", "twap_slices": 10, "twap_interval": "3600"}
    iceberg = {**base, "order_type": "iceberg", "iceberg_display": "0.01"}
    stop = {**base, "order_type": "stop_loss", "side": "sell", "stop_price": "30000"}
    del twap["price"], stop["price"]
    ids = [
        (await place(delta, {**order, "order_id": new_id()})).order_id
        for order in (twap, iceberg, stop)
    ]
    of_twap = await delta.twap_progress(ids[0])
    assert (of_twap.order_id, of_twap.slices_planned) == (ids[0], 10)
    assert (await delta.iceberg_progress(ids[1])).order_id == ids[1]
    assert (await delta.stop_progress(ids[2])).order_id == ids[2]
    assert (await refused(delta.stop_progress(ids[0]))).code == "NOT_A_STOP"
    await delta.cancel_all(strategy_id="progress")
    now = datetime.now(UTC)
    history = await delta.position_history(
        "progress", since=now - timedelta(hours=1), until=now, limit=5
    )
    assert {each.strategy_id for each in history.snapshots} <= {"progress"}


async def an_alarm_is_seen_by_the_keys_of_its_account(
    delta: DeltaHttpClient, insider: DeltaHttpClient, outsider: DeltaHttpClient
) -> None:
    """A guard that a halt stops; the alarm ends with the halt."""
    bought = await place(delta, {**ORDER, "strategy_id": "guarded", "order_id": new_id()})
    await until_status(delta, bought.order_id, OrderStatus.FILLED)
    stop = {**ORDER, "order_type": "stop_loss", "side": "sell", "stop_price": "30000"}
    guard = await place(
        delta, {**stop, "strategy_id": "guarded", "placement": "engine", "order_id": new_id()}
    )
    await until_status(delta, guard.order_id, OrderStatus.WAITING_PRICE)
    switch = {"scope": "strategy:guarded", "reason": "drill"}
    await delta.set_trading_state({**switch, "state": "halted"})
    alarm = await alarm_about(delta, "UNPROTECTED", guard.order_id)
    assert alarm == await alarm_about(insider, "UNPROTECTED", guard.order_id)
    assert (await outsider.alarms(acknowledged=True)).alarms == []
    assert (await refused(outsider.acknowledge_alarm(alarm.id))).code == "NOT_FOUND"
    await delta.set_trading_state({**switch, "state": "active"})
    ended = await alarm_of(insider, alarm.id)
    assert (ended.acknowledged_by, ended.note) == ("engine", "resolved")
    mine, theirs = (
        await insider.statistics(strategy_id="guarded"),
        await outsider.statistics(strategy_id="guarded"),
    )
    assert (mine.orders, theirs.orders) == (2, 0)
    await delta.cancel(guard.order_id)


async def what_still_cancels_is_told_with_202(
    delta: DeltaHttpClient, faults: ControlClient
) -> None:
    order_id = new_id()
    placed = await place(delta, {**RESTING, "strategy_id": "slow", "order_id": order_id})
    await until_status(delta, placed.order_id, OrderStatus.WORKING)
    child = client_order_id(order_id, 0)
    aim = {"method": "DELETE", "path": "/order", "client_order_id": child}
    rule = await faults.add("hold_before", **aim)
    response = await delta.send(
        "POST", "/api/v1/orders/cancel-all", query={"strategy_id": "slow"}, timeout_s=WITHIN_S
    )
    told = response.json()
    assert (response.status_code, told["cancelling"], told["cancelled"]) == (202, 1, 0)
    assert told["orders"][0]["status"] == "cancelling"
    await faults.release((await faults.held(rule)).id)
    await until_status(delta, order_id, OrderStatus.CANCELLED)


async def orders_are_seen_by_the_keys_of_their_account(
    delta: DeltaHttpClient, insider: DeltaHttpClient, outsider: DeltaHttpClient
) -> None:
    order = await place(delta, {**RESTING, "strategy_id": "bound", "order_id": new_id()})
    filled = await place(delta, {**ORDER, "strategy_id": "bound", "order_id": new_id()})
    await until_status(delta, filled.order_id, OrderStatus.FILLED)
    assert await counts(insider) == await counts(delta)
    assert set(await counts(outsider)) == {0}
    for call in (
        outsider.order(order.order_id),
        outsider.analytics(order.order_id),
        outsider.cancel(order.order_id),
        outsider.pause(order.order_id),
        outsider.amend(order.order_id, {"price": "49000"}),
    ):
        error = await refused(call)
        assert (error.status, error.code) == (404, "NOT_FOUND")
    seen = {each.account for each in (await outsider.queue_status()).queues}
    assert seen == {None, "hedge"}
    assert (await outsider.cancel_all(strategy_id="bound")).orders == []
    assert (await insider.cancel_all(strategy_id="bound")).cancelled == 1


async def a_stream_goes_on(stack: LocalStack, delta: DeltaHttpClient) -> None:
    """Over lost connections, with each event once; one that is not kept is told."""
    key = stack.settings.home.api_key()
    assert key is not None
    since = (await delta.events()).head
    seen: list[int] = []
    async with (
        FaultProxy(stack.settings.api_port) as proxy,
        DeltaHttpClient(f"http://127.0.0.1:{proxy.port}", key) as far,
    ):

        async def follow() -> None:
            async for event in far.stream(since=since, strategy_id="cut"):
                seen.append(event.seq)  # noqa: PERF401 - it has no end: each counts as it comes

        following = asyncio.create_task(follow())
        for rounds in range(1, 4):
            async with asyncio.timeout(WITHIN_S):
                while proxy.accepted < rounds:
                    await asyncio.sleep(0.02)
            placed = await place(delta, {**ORDER, "strategy_id": "cut", "order_id": new_id()})
            proxy.reset()
            await until_status(delta, placed.order_id, OrderStatus.FILLED)
        told = [
            each.seq
            for each in (await delta.events(since=since, strategy_id="cut", limit=500)).events
        ]
        async with asyncio.timeout(WITHIN_S):
            while len(seen) < len(told):
                await asyncio.sleep(0.02)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        gone = far.stream(since=told[-1] + 10**9)
        with pytest.raises(StreamGone):
            await asyncio.wait_for(anext(gone), WITHIN_S)
    assert seen[: len(told)] == told
    assert proxy.accepted > 3
