"""Following events: nothing is lost or repeated, whatever breaks in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import asyncpg
import pytest

from activities.ledger.engine import open_engine
from activities.ledger.store import LedgerStore
from activities.ledger.view_events import Event, EventFilter, EventViews, SequenceGoneError
from starters import stream
from starters.connections import Connections
from starters.stream import EventTail
from tests.integration.ledger_world import LIMITS, as_engine
from workers.settings import load_settings

WITHIN_S = 20
MAKE = """
    INSERT INTO alarms (code, object, detail)
    SELECT 'ORDER_FAILED', $1 || number, '' FROM generate_series(1, $2::int) AS number
"""


class Ledger:
    """A tail on a ledger, and a hand that makes events in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        settings = load_settings({"DATABASE_URL": as_engine(url)})
        self.connections = Connections(settings)
        self.tail = EventTail(self.connections)

    async def make(self, count: int, name: str = "a") -> None:
        await self.run(MAKE, name, count)

    async def run(self, statement: str, *arguments: object) -> None:
        connection = await asyncpg.connect(self.url)
        await connection.execute(statement, *arguments)
        await connection.close()

    async def take(self, count: int, since: int | None = 0) -> list[int]:
        """The numbers that a new reader gets first."""
        seen: list[int] = []
        async with asyncio.timeout(WITHIN_S), aclosing(self.tail.follow(since=since)) as batches:
            async for batch in batches:
                assert len(batch) <= stream.BATCH
                seen += [event.seq for event in batch]
                if len(seen) >= count:
                    return seen
        raise AssertionError("it follows for ever")


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    opened = Ledger(database_url)
    yield opened
    await opened.tail.close()
    await opened.connections.close()


async def test_a_reader_gets_what_was_and_what_comes(ledger: Ledger) -> None:
    await ledger.make(3)
    reading = asyncio.create_task(ledger.take(5))
    await asyncio.sleep(0)
    await ledger.make(2, "b")
    assert await reading == [1, 2, 3, 4, 5]


async def test_without_a_number_it_begins_now(ledger: Ledger) -> None:
    await ledger.make(3)
    async with asyncio.timeout(WITHIN_S), ledger.tail.reader() as reader:
        assert (reader.kept.head, reader.seq) == (3, 3)
        await ledger.make(1, "b")
        async for batch in reader.batches(lambda _event: True):
            assert [event.seq for event in batch] == [4]
            break


async def test_a_reader_far_behind_is_served_from_the_table(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BATCH", 40)
    ledger.tail._ring = type(ledger.tail._ring)(maxlen=50)
    await ledger.make(1)
    async with asyncio.timeout(WITHIN_S), ledger.tail.reader(0) as slow:
        await ledger.make(300, "b")
        assert await ledger.take(301) == [*range(1, 302)]  # meanwhile another one was quick
        seen: list[int] = []
        async for batch in slow.batches(lambda _event: True):
            seen += [event.seq for event in batch]
            if len(seen) == 301:
                break
        assert seen == [*range(1, 302)]
        assert len(ledger.tail._ring) <= 50


async def test_what_is_not_wanted_is_passed_over_and_silence_is_told(ledger: Ledger) -> None:
    await ledger.make(5)

    def is_wanted(event: Event) -> bool:
        return event.seq == 3

    async with asyncio.timeout(WITHIN_S), ledger.tail.reader(0) as reader:
        batches = reader.batches(is_wanted, idle_s=0.2)
        assert [event.seq for event in await anext(batches)] == [3]
        assert await anext(batches) == []
        assert reader.seq == 5
        await batches.aclose()


async def test_lost_connections_cost_no_event(ledger: Ledger) -> None:
    """The server ends every connection again and again while events are made."""
    await ledger.make(1)
    async with asyncio.timeout(WITHIN_S), ledger.tail.reader(0) as reader:
        seen: list[int] = []
        batches = reader.batches(lambda _event: True)
        for turn in range(5):
            await ledger.make(20, f"turn-{turn}-")
            await ledger.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            while len(seen) < 20 * turn + 1:
                seen += [event.seq for event in await anext(batches)]
        while len(seen) < 101:
            seen += [event.seq for event in await anext(batches)]
        assert seen == [*range(1, 102)]


async def test_without_notifications_the_poll_finds_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "CHANNEL", "nobody_calls_here")
    reading = asyncio.create_task(ledger.take(2))
    await ledger.make(1)
    await asyncio.sleep(stream.POLL_S / 2)
    await ledger.make(1, "b")
    assert await reading == [1, 2]


async def test_a_number_that_is_not_kept_is_refused(ledger: Ledger) -> None:
    await ledger.make(5)
    await ledger.run("DELETE FROM events WHERE seq <= 2")
    assert await ledger.take(3, since=2) == [3, 4, 5]
    for since in (1, 6):
        with pytest.raises(SequenceGoneError):
            await ledger.take(1, since=since)


async def test_readers_of_a_ledger_that_was_set_back_must_begin_again(ledger: Ledger) -> None:
    await ledger.make(5)
    async with asyncio.timeout(WITHIN_S), ledger.tail.reader(3) as reader:
        batches = reader.batches(lambda _event: True)
        assert [event.seq for event in await anext(batches)] == [4, 5]
        await ledger.run("DELETE FROM events WHERE seq > 2")
        with pytest.raises(SequenceGoneError):
            await anext(batches)
    assert await ledger.take(2) == [1, 2]


async def test_after_a_restore_no_number_is_given_that_meant_something_else(ledger: Ledger) -> None:
    await ledger.make(3)
    engine = open_engine(as_engine(ledger.url))
    views, store = EventViews(engine), LedgerStore(engine, LIMITS)
    async with asyncio.timeout(WITHIN_S), ledger.tail.reader() as there:
        batches = there.batches(lambda _event: True)
        waiting = asyncio.ensure_future(anext(batches))
        await asyncio.sleep(0)
        await store.new_epoch()  # numbers 4 and 5 had been seen by others, and are lost
        with pytest.raises(SequenceGoneError):
            await waiting
        await ledger.make(5, "b")
        for lost in (4, 5):
            with pytest.raises(SequenceGoneError):
                await views.page(lost, 9, EventFilter())
            with pytest.raises(SequenceGoneError):
                await ledger.take(1, since=lost)
        newest = (await views.kept()).head
        assert await ledger.take(2, since=newest - 2) == [newest - 1, newest]
        page = await views.page(newest - 2, 9, EventFilter())
        assert [event.seq for event in page.events] == [newest - 1, newest]
    await engine.dispose()


async def test_nothing_is_read_while_nobody_follows(ledger: Ledger) -> None:
    await ledger.make(1)
    assert await ledger.take(1) == [1]
    assert ledger.tail._task is None
    assert not ledger.tail._ring
