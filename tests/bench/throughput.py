"""How many market orders a second are worked to their end, beside bare workflows.

Lanes ask for one order after the other, each when the one before has ended. Bare workflows and
orders take turns at each number of lanes; each side's best number counts. A table tells what CPU
time an order costs in each part of the stack, above what that part spends on nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
from rich.table import Table

from tests.bench.figures import Measure
from tests.bench.rig import Rig

LANES = (8, 16, 32)
SETTLE_S = 2.0
IDLE_S = 5.0
WINDOW_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What one side came to with one number of lanes. CPU in milliseconds per order."""

    lanes: int
    per_second: float
    cpu_ms: dict[str, float]


async def orders_per_second(rig: Rig) -> list[Measure]:
    """Completed orders per second, the best of a few concurrency levels."""
    sides: dict[str, tuple[Callable[[], Awaitable[object]], list[Window]]] = {
        "bare workflow": (rig.bare_order, []),
        "market order": (lambda: rig.trade(rig.request()), []),
    }
    with rig.progress("orders per second: lanes of both kinds in turn", 2 * len(LANES)) as step:
        idle = await idle_cpu_s(rig)
        for lanes in LANES:
            for work, windows in sides.values():
                windows.append(await window(rig, work, lanes, idle))
                step()
    rig.console.print(_table({name: windows for name, (_, windows) in sides.items()}))
    bare, ours = (max(window.per_second for window in windows) for _, windows in sides.values())
    return [Measure(name="orders_per_second", value=ours, unit="1/s", baseline=bare)]


async def idle_cpu_s(rig: Rig) -> dict[str, float]:
    """CPU seconds per second that each part spends on nothing."""
    await asyncio.sleep(SETTLE_S)
    before, began = _cpu_s(rig), time.monotonic()
    await asyncio.sleep(IDLE_S)
    took, after = time.monotonic() - began, _cpu_s(rig)
    return {name: (after[name] - before.get(name, 0.0)) / took for name in after}


async def window(
    rig: Rig, work: Callable[[], Awaitable[object]], lanes: int, idle: dict[str, float]
) -> Window:
    """Run lanes for a while, count what ends within the window, then let all of it end."""
    done, going = 0, True

    async def lane() -> None:
        nonlocal done
        while going:
            await work()
            done += 1

    async with asyncio.TaskGroup() as running:
        for _ in range(lanes):
            running.create_task(lane())
        await asyncio.sleep(SETTLE_S)
        began, before, cpu = time.monotonic(), done, _cpu_s(rig)
        await asyncio.sleep(WINDOW_S)
        took, count, cpu_after = time.monotonic() - began, done - before, _cpu_s(rig)
        going = False
    used = {
        name: max(0.0, cpu_after[name] - cpu.get(name, 0.0) - idle.get(name, 0.0) * took)
        for name in cpu_after
    }
    cpu_ms = {name: 1_000 * spent / max(count, 1) for name, spent in used.items()}
    return Window(lanes=lanes, per_second=count / took, cpu_ms=cpu_ms)


def _cpu_s(rig: Rig) -> dict[str, float]:
    """CPU time so far by kind of part; `client` is this process."""
    spent = {"client": _of_process(psutil.Process())}
    parts = rig.stack.parts | rig.bare_workers.parts
    for name, part in parts.items():
        if part.running:
            kind = name.partition("-")[0]
            process = psutil.Process(part.pid)
            tree = [process, *process.children(recursive=True)]
            spent[kind] = spent.get(kind, 0.0) + sum(_of_process(each) for each in tree)
    return spent


def _of_process(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):  # a database session that has just ended
        times = process.cpu_times()
        return times.user + times.system
    return 0.0


def _table(sides: dict[str, list[Window]]) -> Table:
    kinds = sorted({kind for windows in sides.values() for each in windows for kind in each.cpu_ms})
    table = Table(title="per second, and CPU ms per order by part", title_justify="left")
    table.add_column("what", no_wrap=True)
    for column in ("lanes", "1/s", *kinds, "all"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, windows in sides.items():
        for each in windows:
            spent = [*(each.cpu_ms.get(kind, 0.0) for kind in kinds), sum(each.cpu_ms.values())]
            cpu = (f"{ms:.1f}" for ms in spent)
            table.add_row(name, str(each.lanes), f"{each.per_second:.1f}", *cpu)
    return table
