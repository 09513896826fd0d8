"""Two processes run the tests: all that share a running stack stay together, and come first.

A stack costs seconds to start, its tests mostly wait and some of them kill its parts and count
seconds, so one process takes all that share one. The other process takes module after module, and
so does the first when its stack is done: first what computes, beside the tests that wait, and last
the many small modules, so that both end together. A shared stack ends with the last of its tests:
an idle one would slow the rest down.

A test that hangs fails by itself: after its timeout, or, where that is not heard, with its whole
process, which prints its stacks and is replaced.
"""

import faulthandler
import gc
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

gc.disable()  # until all modules are loaded: looking through what stays is a quarter of the time

ROOT = Path(__file__).parent.parent
SHARED = ("tests.e2e.engine_stack", "tests.e2e.pair_stack")
"""Plugins that start a stack which several modules use; the longest first."""
FOLDERS = ("contract", "workflows", "e2e", "integration", "stateful")
"""Their modules come in this order, then those of the other folders."""
NET_S = 60.0
"""How long after its timeout a test may still go on, before its process ends."""
_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """All processes of a run draw from one seed, or they would not have the same tests."""
    os.environ.setdefault("CRASH_SEED", str(date.today().toordinal()))  # noqa: DTZ011 - only a seed
    config.stash[_stderr] = os.dup(2)  # while tests run, the usual one is captured
    config.pluginmanager.register(_SharedStacks())


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no later search for garbage goes through it."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The net under pytest-timeout, whose exception a callback of an event loop may swallow, and
    which no longer counts once it has raised it."""
    mark = item.get_closest_marker("timeout")
    after_s = float(mark.args[0] if mark else item.config.getini("timeout")) + NET_S
    net = threading.Timer(after_s, _give_up, [item.nodeid, item.config.stash[_stderr]])
    net.daemon = True
    net.start()
    try:
        return (yield)
    finally:
        net.cancel()


def _give_up(test: str, stderr: int) -> None:
    """End this process with all that it started; the one that deals tests out replaces it."""
    os.write(stderr, f"\n{test} hangs; its process ends:\n".encode())
    faulthandler.dump_traceback(file=stderr)
    for started in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            started.kill()
    os._exit(1)


class _SharedStacks:
    """A plugin: a conftest's hooks are not asked about what lasts for the session."""

    def __init__(self) -> None:
        self.opened: list[tuple[pytest.FixtureDef[Any], pytest.FixtureRequest]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Iterator[None]:
        if fixturedef.func.__module__ in SHARED:
            self.opened.append((fixturedef, request))
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Iterator[None]:
        """Behind the last test on a shared stack, it ends."""
        result = yield
        if nextitem is None or _scope(_module(nextitem.nodeid)) != _scope(_module(item.nodeid)):
            while self.opened:
                stack, request = self.opened.pop()
                stack.finish(request)
        return result


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares a stack begins, one stack after the other; then folder after folder."""
    items.sort(key=lambda item: _place(_module(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Deal out whole modules, and whole stacks. Marks would not do: pytest no longer lets the
    plugin write them into the names of tests, by which it deals."""
    return _ByStack(config, log)


class _ByStack(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _scope(_module(nodeid))

    def schedule(self) -> None:
        """A process begins with two units, or knows that no more will come: one that takes the
        place of another, too."""
        super().schedule()
        super().schedule()

    def remove_node(self, node: Any) -> str | None:
        """A test that ended its process is not run again; the rest of its unit is."""
        units = self.assigned_work[node]
        open_tests = [(unit, test) for unit in units.values() for test in unit if not unit[test]]
        if open_tests:
            unit, test = open_tests[0]
            unit[test] = True
        for scope in [scope for scope, unit in units.items() if all(unit.values())]:
            del units[scope]
        super().remove_node(node)
        return open_tests[0][1] if open_tests else None


def _scope(module: str) -> str:
    """What runs as one in one process: a module, or all that share a stack."""
    rank = _rank(module)
    return SHARED[rank] if rank < len(SHARED) else module


def _module(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _place(module: str) -> tuple[int, int]:
    """Where a module comes in the order."""
    folder = Path(module).parent.name
    behind = FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS)
    return _rank(module), behind


@cache
def _rank(module: str) -> int:
    """Which of the shared stacks a module uses; beyond the last for none.

    By its text: the process that deals the tests out does not import them.
    """
    text = (ROOT / module).read_text()
    return next((rank for rank, name in enumerate(SHARED) if f'"{name}"' in text), len(SHARED))
