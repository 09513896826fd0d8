"""What keeps pages current: news by topic, reads that pages share, and no end of either."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from starters.dashboard import live
from starters.dashboard.live import MAX_ANSWERS, MAX_TOPICS, Answers, News, Pulse
from starters.errors import Unavailable


@dataclass(frozen=True)
class Told:
    """An event of the stream."""

    kind: str
    order_id: str | None = None
    execution_id: str | None = None


def test_a_page_reads_again_only_for_what_it_shows():
    news = News(None)
    news.is_live = True
    pulse = Pulse(news, "order-1")
    assert not pulse.is_due()
    news.tell(["fill", "order-2", None])
    assert not pulse.is_due()
    news.tell(["fill", "order-1", None])
    assert pulse.is_due()
    assert not pulse.is_due()


def test_a_page_reads_by_itself_while_nobody_brings_news(monkeypatch):
    monkeypatch.setattr(live, "BLIND_S", 0.0)
    assert Pulse(News(None), "order").is_due()


def test_topics_that_nobody_heard_of_for_long_are_forgotten():
    news = News(None)
    for number in range(MAX_TOPICS + 10):
        news.tell([f"order-{number}"])
    assert len(news._counts) == MAX_TOPICS
    assert news.newest(["order-0"]) == 0


async def test_events_become_news_and_a_ledger_that_is_away_is_waited_for(monkeypatch):
    monkeypatch.setattr(live, "RETRY_S", 0.0)
    tries = 0

    async def follow() -> AsyncIterator[list[Told]]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Unavailable("the ledger does not answer")
        yield [Told("fill", order_id="order-1")]
        await asyncio.Event().wait()

    news = News(follow)
    news.start()
    async with asyncio.timeout(5):
        while not news.newest(["order-1"]):
            await asyncio.sleep(0)
    assert news.is_live
    assert news.newest(["fill"]) == news.newest(["order-1"])
    await news.stop()
    assert not news.is_live


async def test_pages_that_ask_the_same_at_once_share_one_read():
    now, asked = 0.0, 0
    answers = Answers(lambda: now)

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return asked

    assert await asyncio.gather(*(answers.get("orders", ask) for _ in range(20))) == [1] * 20
    assert await answers.get("orders", ask) == 1
    assert await answers.get("others", ask) == 2
    now += live.FRESH_S * 2
    assert await answers.get("orders", ask) == 3
    answers.forget()
    assert await answers.get("orders", ask) == 4


async def test_a_read_that_failed_is_asked_again_and_fails_all_who_waited():
    answers = Answers()
    failing = True

    async def ask() -> str:
        if failing:
            raise Unavailable("away")
        return "here"

    with pytest.raises(Unavailable):
        await answers.get("orders", ask)
    failing = False
    assert await answers.get("orders", ask) == "here"


async def test_answers_are_kept_for_so_many_questions_only():
    answers = Answers()

    async def ask() -> int:
        return 1

    for number in range(MAX_ANSWERS + 10):
        await answers.get(number, ask)
    assert len(answers._known) == MAX_ANSWERS
