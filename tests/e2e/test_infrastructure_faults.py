"""Servers die, lines break, clocks jump and resources run out under orders of every kind.

After each fault everything is back by itself, each order came to its right end, and the ledger is
what the exchange's own log says. Short faults here; INFRA_LONG_S gives their length in seconds.
CRASH_SEED chooses where each rarer kind of fault strikes; CRASH_ALL=1 lets all strike everywhere.
"""

import asyncio
import os
import random
import resource
import sys
import time
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psutil
import pytest

from tests.e2e.fault_proxy import Way
from tests.e2e.infra_load import BACK_WITHIN_S, KINDS, Answered, Load
from tests.e2e.infra_world import APIS, LINES, RATE_LIMIT, WORKERS, Infra, needs_faketime
from tests.e2e.world import MAIN, World, until
from workflows.domain.orders import client_order_id

pytest_plugins = ("tests.e2e.infra_stack",)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

LONG_S = float(os.environ.get("INFRA_LONG_S") or 0)
ALL = os.environ.get("CRASH_ALL") == "1"
CHANCE = random.Random(f"{os.environ.get('CRASH_SEED')}-infrastructure")
LOSS = 0.1
RESTING, TWAP = 4, 5
"""Among the kinds."""
WAITING = 6
AWAY_S = 5
TRIES_PER_ORDER_AND_S = 3
"""Most connections to an exchange that is away: a TWAP with a slice every second asks each time."""
LONG_TWAP = {"quantity": "0.1", "twap_slices": 10, "twap_interval": Decimal("1.2")}
SPREAD_MS = 200
LITTLE_MEMORY = 150_000_000
"""Bytes of address space: Python starts, and its first large import fails."""
HOGS = 4
BAD_TIMESTAMP = -1021


@pytest.fixture
def load(infra: Infra) -> Load:
    return Load(infra)


async def test_e1_no_accepted_order_is_lost_while_temporal_is_killed_again_and_again(infra, load):
    await _killed_again_and_again(infra, load, "temporal")
    await load.assert_all_ended()


async def test_e2_no_order_leaves_without_its_intent_while_postgres_is_killed_again_and_again(
    infra, load
):
    # the checker asks for the intent and its check, of every order that the exchange has
    await _killed_again_and_again(infra, load, "postgres")
    await load.assert_all_ended()


async def _killed_again_and_again(infra: Infra, load: Load, server: str) -> None:
    """SIGKILL a server three times under load, each time after some orders were accepted."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as asking:
        asking.create_task(load.keep_asking(0.3, stop))
        for kills in range(1, 4):
            await until(lambda: load.accepted() >= 5 * kills, 30)  # noqa: B023 - awaited here
            await infra.world.stack.kill(server)
            await infra.world.stack.wait_healthy(server)
        await until(lambda: load.accepted() >= 20, 30)
        stop.set()


async def test_e5_partitions_of_every_kind_lose_nothing_and_end_by_themselves(infra, load):
    def one_way(way: Way):
        return lambda proxy: proxy.block(way)

    kinds = {
        "silent": (lambda proxy: proxy.block(), LONG_S or 2),
        "silent up": (one_way(Way.UP), LONG_S or 1),
        "silent down": (one_way(Way.DOWN), LONG_S or 1),
        "loud": (lambda proxy: proxy.refuse(), LONG_S or 1),
        "half-open": (lambda proxy: proxy.lose_peer(), LONG_S or 1),
    }
    rare = {name: CHANCE.choice(LINES) for name in list(kinds)[1:]}
    for line in LINES:
        for name, (break_it, for_s) in kinds.items():
            if not ALL and rare.get(name, line) != line:
                continue
            for proxy in infra.to(line, *WORKERS):
                break_it(proxy)
            asking = asyncio.create_task(load.ask_all())
            await asyncio.sleep(for_s)
            infra.heal()
            healed = time.monotonic()
            await asking
            await load.assert_fills()
            print(f"{line} {name}: back {time.monotonic() - healed:.1f} s after {for_s} s")
    await load.assert_all_ended()


async def test_e6_slow_and_lossy_lines_cost_time_and_nothing_else(infra, load):
    slow = {"temporal": 0.1, "exchange": 0.1, "postgres": 0.01}
    for line, latency_s in slow.items():
        for proxy in infra.to(line, *WORKERS):
            for weather in proxy.weather.values():
                weather.latency_s, weather.jitter_s = latency_s, latency_s / 2
                weather.loss = LOSS
    for _ in range(2):
        await load.ask_all()
    infra.heal()
    await load.assert_fills()
    await load.assert_all_ended()


async def test_e10_doubled_starts_by_two_apis_are_one_order_each(infra, load):
    bodies = [infra.body(**kind) for kind in KINDS]
    load.answers += [Answered(body=body, status=201, said="", elapsed_s=0) for body in bodies]
    starts = [(body, api) for body in bodies for api in APIS for _ in range(2)]
    answers = await asyncio.gather(*(_start(infra, body, api) for body, api in starts))
    told: dict[str, set[str]] = defaultdict(set)
    for (body, _), answer in zip(starts, answers, strict=True):
        told[body["order_id"]].add(answer)
    assert {len(texts) for texts in told.values()} == {1}
    await load.assert_all_ended()


async def test_e4_an_exchange_that_comes_back_meets_no_burst(infra, load):
    world = infra.world
    resting = [await load.ask(KINDS[RESTING]) for _ in range(WAITING)]
    twaps = [await load.ask(KINDS[TWAP] | LONG_TWAP) for _ in range(WAITING)]
    await until(lambda: _sent(world, resting + twaps), 20)
    await world.stack.stop_part("paper-binance")
    for answer in resting:  # all at once: without jitter they would come back at once, too
        await world.temporal.get_workflow_handle(answer.order_id).signal("cancel")
    lines = infra.to("exchange", *WORKERS)
    tried, away_s = -sum(line.accepted for line in lines), LONG_S or AWAY_S
    await asyncio.sleep(away_s)
    tried += sum(line.accepted for line in lines)
    assert tried <= TRIES_PER_ORDER_AND_S * 2 * WAITING * away_s, "a hot loop"
    back_ms = time.time_ns() // 1_000_000
    await world.stack.start_part("paper-binance")
    await load.assert_fills()
    await load.assert_all_ended()
    later = [r for r in world.log().requests if r.ts_ms >= back_ms and r.account == MAIN]
    posts = [r.ts_ms for r in later if (r.method, r.path) == ("POST", "/api/v3/order")]
    cancels = [r.ts_ms for r in later if r.method == "DELETE"]
    print(f"{tried} tries while away; {len(posts)} orders, cancels at {cancels}")
    assert _most_in_1_s(posts) <= RATE_LIMIT
    assert max(cancels) - min(cancels) > SPREAD_MS, "they came back together"


async def _start(infra: Infra, body: dict[str, Any], api: str) -> str:
    """The verdict on an order; a 503 is asked again under the same key, as its client would."""
    async with asyncio.timeout(BACK_WITHIN_S):
        while (answer := await infra.post(body, api, body["order_id"])).status_code == 503:
            continue
    assert answer.status_code == 201, answer.text
    return answer.text


def _sent(world: World, answers: list[Answered]) -> bool:
    """True once each has an order at the exchange; a TWAP may have missed its first slices."""
    named = world.log().order_counts(MAIN)
    return all(
        any(client_order_id(each.order_id, index) in named for index in range(6))
        for each in answers
    )


def _most_in_1_s(times_ms: list[int]) -> int:
    return max((sum(0 <= t - first < 1000 for t in times_ms) for first in times_ms), default=0)


async def test_e9_a_worker_without_file_descriptors_refuses_cleanly(infra, load):
    front = WORKERS[0]
    process = psutil.Process(infra.fronts.parts[front].pid)
    before = process.rlimit(resource.RLIMIT_NOFILE)
    for most in (64, process.num_fds() // 2):  # what is open stays open, nothing more is opened
        process.rlimit(resource.RLIMIT_NOFILE, (most, before[1]))
        for proxy in infra.to("exchange", front) + infra.to("postgres", front):
            proxy.reset()  # what was open must be opened again, if it can be
        await load.ask_all()
        await load.ask_all()
        process.rlimit(resource.RLIMIT_NOFILE, before)
        await load.assert_fills()
    assert "Too many open files" in infra.fronts.parts[front].logged()
    await load.assert_all_ended()


async def test_e9_a_worker_without_memory_restarts_until_it_has_some(infra, load):
    running = infra.fronts.parts[WORKERS[0]]
    whole, starts = running.part, running.starts
    starved = ("prlimit", f"--as={LITTLE_MEMORY}", *whole.argv)
    running.part = replace(whole, argv=starved)
    await infra.fronts.kill(WORKERS[0])
    await until(lambda: running.starts >= starts + 2, 30)
    await load.ask_all()
    await until(lambda: running.starts >= starts + 3, 30)
    running.part = whole
    await load.ask_all()
    await infra.fronts.wait_healthy(WORKERS[0])
    await load.assert_fills()
    await load.assert_all_ended()


async def test_e9_starved_workers_are_late_and_never_wrong(infra, load):
    allowed = os.sched_getaffinity(0)
    one = min(allowed)
    workers = [psutil.Process(infra.fronts.parts[name].pid) for name in WORKERS]
    hogs = [
        await asyncio.create_subprocess_exec(
            "taskset", "-c", str(one), sys.executable, "-c", "while True: pass"
        )
        for _ in range(HOGS)
    ]
    try:
        for worker in workers:
            worker.cpu_affinity([one])
            worker.nice(19)
        await load.ask_all()
        await load.ask_all()
    finally:
        for hog in hogs:
            hog.kill()
            await hog.wait()
        for worker in workers:
            worker.cpu_affinity(sorted(allowed))
            worker.nice(0)
    await load.assert_fills()
    await load.assert_all_ended()


@needs_faketime()
async def test_e7_workers_whose_clocks_jump_go_on_trading(infra, load):
    await infra.fake_clocks()
    now_s = time.time()
    offsets_s = {
        "1 s ahead": 1,
        "1 s behind": -1,
        "1 h ahead": 3600,
        "1 h behind": -3600,
        "into the leap day": datetime(2028, 2, 28, 23, 59, 58, tzinfo=UTC).timestamp() - now_s,
        "over 2038": datetime(2038, 1, 19, 3, 14, 6, tzinfo=UTC).timestamp() - now_s,
        "back": 0,
    }
    for name, offset_s in offsets_s.items():
        await load.ask(KINDS[TWAP])  # the clock jumps between its slices
        infra.set_clock(offset_s)
        await load.ask(KINDS[2])
        await load.assert_fills()
        print(f"{name}: {_refused_stamps(infra.world)} requests refused for their time so far")
    await load.assert_all_ended()


async def test_e7_a_venue_whose_clock_jumps_is_followed(infra, load):
    faults, before = infra.world.faults, _refused_stamps(infra.world)
    try:
        for offset_s in (1, -1, 3600, -3600, 0):
            await load.ask(KINDS[TWAP])
            await faults.act("clock", offset_ms=offset_s * 1000)
            await load.ask(KINDS[2])
            await load.assert_fills()
    finally:
        await faults.clear()
    assert _refused_stamps(infra.world) > before
    await load.assert_all_ended()


def _refused_stamps(world: World) -> int:
    return sum(request.code == BAD_TIMESTAMP for request in world.log().requests)
