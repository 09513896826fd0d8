"""Alarms leave the ledger once each, and are taken up by one human: on a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alarm_bell import AlarmBell
from activities.ledger.alarm_store import AlarmStore
from tests.integration.ledger_world import World
from workflows.domain.alarms import AlarmCode
from workflows.domain.denials import DenialCode

WITHIN_S = 20


class Webhook:
    """A server that remembers what was posted, and answers with the statuses it was given."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.hangs = False
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        body = json.loads(await reader.readexactly(length))
        if self.hangs:
            await reader.read()  # until the caller has had enough
        else:
            self.posted.append(body)
            status = self.statuses.pop(0) if self.statuses else 200
            where = "Location: /elsewhere\r\n" if status == 302 else ""
            writer.write(f"HTTP/1.1 {status} X\r\n{where}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    hook = Webhook()
    server = await asyncio.start_server(hook.answer, "127.0.0.1", 0)
    hook.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?token=SECRET"
    yield hook
    server.close()


@asynccontextmanager
async def ringing(engine: AsyncEngine, url: str | None, bells: int = 1) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(AlarmBell(AlarmStore(engine), url).run()) for _ in range(bells)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def until(holds: Any) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await holds():
            await asyncio.sleep(0.05)


async def all_posted(ledger: World) -> bool:
    query = "SELECT count(*) FROM alarms WHERE posted_at IS NULL"
    return bool(await ledger.value(query) == 0)


def lines(logs: list[Any], event: str) -> list[Any]:
    return [each for each in logs if each["event"] == event]


async def test_each_alarm_is_one_line_and_one_call_however_many_workers_there_are(
    ledger: World, webhook: Webhook
) -> None:
    for number in range(25):
        await ledger.store.raise_alarm(AlarmCode.UNKNOWN_ORDER, f"o-{number}", "since 0:05:01")
    with structlog.testing.capture_logs() as logs:
        async with ringing(ledger.engine, webhook.url, bells=3):
            await until(lambda: all_posted(ledger))
    told = [each["object"] for each in lines(logs, "alarm")]
    assert sorted(told) == sorted(f"o-{number}" for number in range(25))
    assert sorted(each["object"] for each in webhook.posted) == sorted(told)
    assert set(webhook.posted[0]) == {"id", "code", "object", "detail", "since", "meaning"}
    assert "SECRET" not in str(logs)


async def test_a_webhook_that_refuses_is_asked_again_and_the_line_is_not_repeated(
    ledger: World, webhook: Webhook
) -> None:
    webhook.statuses = [302, 200]
    await ledger.store.raise_alarm(AlarmCode.NAKED_LEG, "arb-1", "exposure=1")
    with structlog.testing.capture_logs() as logs:
        async with ringing(ledger.engine, webhook.url):
            await until(lambda: all_posted(ledger))
    assert len(webhook.posted) == 2
    assert [each["why"] for each in lines(logs, "alarm_not_posted")] == ["status 302"]
    assert len(lines(logs, "alarm")) == 1


async def test_a_webhook_that_hangs_holds_up_neither_the_next_line_nor_an_acknowledgement(
    ledger: World, webhook: Webhook
) -> None:
    webhook.hangs = True
    await ledger.store.raise_alarm(AlarmCode.NAKED_LEG, "arb-1", "exposure=1")
    async with httpx.AsyncClient() as client:
        hanging = asyncio.create_task(
            AlarmBell(AlarmStore(ledger.engine), webhook.url).ring(client)
        )
        await asyncio.sleep(0)
        await ledger.store.raise_alarm(AlarmCode.NAKED_LEG, "arb-2", "exposure=1")
        first = (await ledger.views.alarms())[-1].id
        async with asyncio.timeout(2):
            assert await AlarmStore(ledger.engine).acknowledge(first, "desk-1", "") is None
        await hanging
    with structlog.testing.capture_logs() as logs:
        async with ringing(ledger.engine, None):
            await until(lambda: told(ledger, "arb-2"))
    assert "arb-1" not in {each["object"] for each in lines(logs, "alarm")}


async def told(ledger: World, about: str) -> bool:
    query = "SELECT count(*) FROM alarms WHERE object = $1 AND told_at IS NOT NULL"
    return bool(await ledger.value(query, about))


async def test_an_alarm_is_taken_up_by_one_human_who_stands_in_the_audit_trail(
    ledger: World,
) -> None:
    store = AlarmStore(ledger.engine)
    await ledger.store.raise_alarm(AlarmCode.NAKED_LEG, "arb-1", "exposure=1")
    (alarm,) = await ledger.views.alarms()
    answers = await asyncio.gather(
        *(store.acknowledge(alarm.id, f"desk-{number}", "on it") for number in (1, 2))
    )
    refused = [each for each in answers if each is not None]
    assert [each.code for each in refused] == [DenialCode.ALREADY_TERMINAL]
    (taken,) = await ledger.views.alarms(include_acknowledged=True)
    assert (await ledger.views.alarms(), taken.note) == ([], "on it")
    assert taken.acknowledged_by is not None
    assert await store.acknowledge(alarm.id, taken.acknowledged_by, "again") is None
    (row,) = await ledger.rows("SELECT who, action, object, reason FROM audit")
    assert row == {
        "who": taken.acknowledged_by,
        "action": "acknowledge",
        "object": "alarm:NAKED_LEG:arb-1",
        "reason": "on it",
    }
    missing = await store.acknowledge(alarm.id + 1, "desk-1", "")
    assert missing is not None
    assert missing.code is DenialCode.NOT_FOUND


async def test_the_same_alarm_can_be_raised_again_once_it_was_taken_up(ledger: World) -> None:
    store = AlarmStore(ledger.engine)
    for _ in range(2):
        await ledger.store.raise_alarm(AlarmCode.NAKED_LEG, "arb-1", "exposure=1")
    (alarm,) = await ledger.views.alarms()
    assert await store.acknowledge(alarm.id, "desk-1", "") is None
    await ledger.store.raise_alarm(AlarmCode.NAKED_LEG, "arb-1", "exposure=1")
    assert [each.id for each in await ledger.views.alarms()] != [alarm.id]
