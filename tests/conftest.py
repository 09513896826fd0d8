"""Two processes run the tests: all that share a running stack stay together, and come first.

A stack costs seconds to start, its tests mostly wait and some of them kill its parts and count
seconds, so one process takes all that share one. The other process takes module after module, and
so does the first when its stack is done: first what computes, beside the tests that wait, and last
the many small modules, so that both end together. Without `pytest -n` nothing here has an effect
but the order.
"""

import os
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parent.parent
SHARED = ("tests.e2e.engine_stack", "tests.e2e.pair_stack")
"""Plugins that start a stack which several modules use; the longest first."""
FOLDERS = ("contract", "workflows", "e2e", "integration", "stateful")
"""Their modules come in this order, then those of the other folders."""


def pytest_configure() -> None:
    """All processes of a run draw from one seed, or they would not have the same tests."""
    os.environ.setdefault("CRASH_SEED", str(date.today().toordinal()))  # noqa: DTZ011 - only a seed


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
        module = _module(nodeid)
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
