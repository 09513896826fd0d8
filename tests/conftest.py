"""Two processes run the tests: all that share a running stack stay together, and come first.

A stack costs seconds to start, its tests mostly wait and some of them kill its parts and count
seconds, so one process takes them all, one stack after the other. The other process takes module
after module, and so does the first when its stacks are done. Without `pytest -n` nothing here has
an effect but the order.
"""

import os
from datetime import date

import pytest

SHARED = ("tests.e2e.engine_stack", "tests.e2e.pair_stack")
"""Plugins that start a stack which several modules use."""


def pytest_configure() -> None:
    """All processes of a run draw from one seed, or they would not have the same tests."""
    os.environ.setdefault("CRASH_SEED", str(date.today().toordinal()))  # noqa: DTZ011 - only a seed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One group for the shared stacks, and one for each other module; the longest begins."""
    ranks = {item: _rank(item) for item in items}
    for item, rank in ranks.items():
        shares = rank < len(SHARED)
        item.add_marker(
            pytest.mark.xdist_group("stacks" if shares else item.nodeid.partition("::")[0])
        )
    items.sort(key=lambda item: ranks[item])  # stable: else the order stays


def _rank(item: pytest.Item) -> int:
    """Which of the shared stacks the test uses; beyond the last for none."""
    plugins = getattr(getattr(item, "module", None), "pytest_plugins", ())
    return next((rank for rank, name in enumerate(SHARED) if name in plugins), len(SHARED))
