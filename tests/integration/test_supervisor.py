"""The supervisor, on real processes: order, restarts, bounds, and nothing left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from workers.pidfile import Record, read_records, stop_leftovers, take_lock
from workers.supervisor import Part, RestartBound, Supervisor, SupervisorError

DEADLINE_S = 20.0
FOREVER = "import time; time.sleep(600)"
CHECKOUT = Path(__file__).resolve().parents[2]


def python(name: str, code: str, **options: object) -> Part:
    part = Part(name=name, argv=(sys.executable, "-c", code), env=dict(os.environ), cwd=CHECKOUT)
    return replace(part, **options)


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


def once_there(path: Path) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return path.exists()

    return check


@pytest.fixture
def supervise(tmp_path):
    def make(*parts: Part, events: list[tuple[str, str]] | None = None) -> Supervisor:
        note = (lambda part, event: events.append((part, event))) if events is not None else None
        options = {"on_event": note} if note else {}
        return Supervisor(parts, logs=tmp_path, run=tmp_path, **options)

    return make


async def test_a_part_starts_only_when_those_it_needs_are_healthy(supervise, tmp_path):
    events: list[tuple[str, str]] = []
    mark = tmp_path / "mark"
    code = f"import time, pathlib; time.sleep(0.3); pathlib.Path({str(mark)!r}).touch(); {FOREVER}"
    see = f"import pathlib; assert pathlib.Path({str(mark)!r}).exists()"
    supervisor = supervise(
        python("first", code, ready=once_there(mark)),
        python("task", see, needs=("first",), runs_once=True),
        python("last", FOREVER, needs=("task",)),
        events=events,
    )
    await supervisor.start()
    await supervisor.stop()
    assert events == [("first", "healthy"), ("task", "done"), ("last", "healthy")]


async def test_a_killed_part_is_started_again(supervise):
    supervisor = supervise(python("part", FOREVER))
    await supervisor.start()
    old = supervisor.parts["part"].pid
    await supervisor.kill("part")
    await supervisor.wait_healthy("part")
    new = supervisor.parts["part"].pid
    await supervisor.stop()
    assert new != old
    assert not psutil.pid_exists(new)


async def test_a_part_that_is_to_stay_down_stays_down_until_it_is_started(supervise):
    supervisor = supervise(python("part", FOREVER, auto_restart=False))
    await supervisor.start()
    running = supervisor.parts["part"]
    await supervisor.kill("part")
    await until(lambda: running.task is not None and running.task.done())
    assert not running.running
    await supervisor.start_part("part")
    assert running.running
    await supervisor.stop_part("part")
    assert not running.running
    await supervisor.stop()


async def test_a_part_that_dies_too_often_fails_the_set_with_a_line_that_names_it(supervise):
    bound = RestartBound(deaths=2, window_s=60)
    broken = python("broken", "raise SystemExit('no such thing')", bound=bound, ready=never)
    supervisor = supervise(broken)
    with pytest.raises(SupervisorError, match=r"broken died 3 times .*no such thing.*broken\.log"):
        await supervisor.start()
    await supervisor.stop()
    assert supervisor.parts["broken"].starts == 3


async def test_a_part_that_never_was_healthy_fails_sooner_than_one_that_was(supervise):
    broken = python("broken", "raise SystemExit(1)", ready=never)
    supervisor = supervise(broken)
    with pytest.raises(SupervisorError, match="broken died 4 times"):
        await supervisor.start()
    await supervisor.stop()
    supervisor = supervise(python("part", FOREVER))
    await supervisor.start()
    for _ in range(broken.bound.first_deaths + 1):
        await supervisor.kill("part")
        await supervisor.wait_healthy("part")
    await supervisor.stop()


async def test_the_pause_before_a_start_grows_up_to_its_bound(supervise):
    bound = RestartBound(pause_most_s=0.1)
    supervisor = supervise(python("part", FOREVER, bound=bound))
    await supervisor.start()
    since = time.monotonic()
    for _ in range(6):
        await supervisor.kill("part")
        await supervisor.wait_healthy("part")
    took_s = time.monotonic() - since
    await supervisor.stop()
    assert took_s < 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2, "the pauses doubled without a bound"


async def never() -> bool:
    return False


async def test_a_failed_task_fails_the_set(supervise):
    supervisor = supervise(python("task", "raise SystemExit(3)", runs_once=True))
    with pytest.raises(SupervisorError, match=r"task failed \(exit 3\)"):
        await supervisor.start()
    await supervisor.stop()


async def test_a_part_that_does_not_become_healthy_is_killed_and_counted_as_dead(supervise):
    bound = RestartBound(deaths=1, window_s=60)
    part = python("deaf", FOREVER, ready=never, ready_timeout_s=0.2, bound=bound)
    supervisor = supervise(part)
    with pytest.raises(SupervisorError, match="deaf died 2 times"):
        await supervisor.start()
    await supervisor.stop()
    assert not supervisor.parts["deaf"].running


async def test_a_set_that_ran_well_reports_a_later_failure(supervise):
    supervisor = supervise(python("part", FOREVER, bound=RestartBound(deaths=0, window_s=60)))
    await supervisor.start()
    await supervisor.kill("part")
    with pytest.raises(SupervisorError, match="SIGKILL"):
        await asyncio.wait_for(supervisor.failed(), DEADLINE_S)
    await supervisor.stop()


async def test_parts_are_stopped_before_those_they_need(supervise, tmp_path):
    log = tmp_path / "stops"
    code = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        f"    time.sleep(0.2); open({str(log)!r}, 'a').write(sys.argv[1]); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "open(sys.argv[2], 'w').close()\n"
        "time.sleep(600)"
    )

    def part(name: str, *needs: str) -> Part:
        mark = tmp_path / f"{name}.up"
        plain = python(name, code, needs=needs, ready=once_there(mark))
        return replace(plain, argv=(*plain.argv, name, str(mark)))

    supervisor = supervise(part("a"), part("b", "a"), part("c", "b"))
    await supervisor.start()
    await supervisor.stop()
    assert log.read_text() == "cba"


async def test_a_part_that_ignores_its_stop_signal_is_killed_with_its_children(supervise, tmp_path):
    mark = tmp_path / "child"
    code = (
        "import pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {FOREVER!r}])\n"
        f"path = pathlib.Path({str(mark)!r})\n"
        "path.with_suffix('.part').write_text(str(child.pid))\n"
        "path.with_suffix('.part').rename(path)\n"
        "time.sleep(600)"
    )
    supervisor = supervise(python("stubborn", code, ready=once_there(mark), stop_timeout_s=0.2))
    await supervisor.start()
    child = int(mark.read_text())
    await supervisor.stop()
    await until(lambda: not psutil.pid_exists(child) or is_zombie(child))


def is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_stopping_in_the_middle_of_the_start_leaves_nothing_running(supervise):
    supervisor = supervise(python("slow", FOREVER, ready=never), python("fast", FOREVER))
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: all(each.running for each in supervisor.parts.values()))
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await supervisor.stop()
    assert not any(each.running for each in supervisor.parts.values())


async def test_what_a_killed_supervisor_left_behind_is_stopped(tmp_path):
    code = (
        "import asyncio, pathlib, sys\n"
        "from tests_part import python, FOREVER, Supervisor\n"
        "async def main():\n"
        f"    run = pathlib.Path({str(tmp_path)!r})\n"
        "    s = Supervisor([python('part', FOREVER)], logs=run, run=run)\n"
        "    await s.start()\n"
        "    print('up', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    (tmp_path / "tests_part.py").write_text(Path(__file__).read_text())
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{CHECKOUT}"}
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"up\n"
        killed.send_signal(signal.SIGKILL)
    (record,) = read_records(tmp_path)
    left = record.process()
    assert left is not None
    assert await stop_leftovers(tmp_path) == ["part"]
    await until(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE)
    assert read_records(tmp_path) == []


async def test_a_process_that_only_shares_the_recorded_id_is_never_touched(tmp_path):
    with subprocess.Popen([sys.executable, "-c", FOREVER]) as stranger:
        record = recorded(stranger)
        for change in ({"create_time": record.create_time - 60}, {"argv": ["postgres"]}):
            replace(record, **change).write(tmp_path)
            assert await stop_leftovers(tmp_path) == []
            assert stranger.poll() is None
        stranger.kill()


def recorded(process: "subprocess.Popen[bytes]") -> Record:
    assert isinstance(process.args, list)
    record = Record.of_process(
        process.pid,
        process.args,
        name="part",
        level=0,
        stop_signal=signal.SIGKILL,
        stop_timeout_s=1,
    )
    assert record is not None
    return record


async def test_a_process_that_has_just_been_started_is_known_again_later():
    for _ in range(40):  # the system tells an empty command line for a moment, now and then
        with subprocess.Popen(["/bin/sleep", "60"]) as started:
            record = recorded(started)
            await until(lambda record=record: record.process() is not None)
            started.kill()


async def test_an_unreadable_record_is_dropped(tmp_path):
    (tmp_path / "part.json").write_text('{"name": "par')
    (tmp_path / "other.json").write_text(json.dumps({"pid": 1}))
    assert await stop_leftovers(tmp_path) == []
    assert list(tmp_path.glob("*.json")) == []


def test_the_lock_is_held_by_one_and_ends_with_it(tmp_path):
    lock = take_lock(tmp_path / "lock")
    assert lock is not None
    assert take_lock(tmp_path / "lock") is None
    lock.close()
    again = take_lock(tmp_path / "lock")
    assert again is not None
    again.close()
