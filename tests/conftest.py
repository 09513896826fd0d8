"""Two processes run the tests: those that share a running stack stay together, and come first.

A stack costs seconds to start and its tests mostly wait, so one process takes all that share one.
There are two such groups, one for each process; whichever is free then takes the next module.
Without `pytest -n` nothing here has an effect but the order.
"""

import os
from datetime import date

import pytest

SHARED = {"tests.e2e.engine_stack": "engine", "tests.e2e.pair_stack": "pair"}
"""Plugins that start a stack, and the group of the modules that use it."""


def pytest_configure() -> None:
    """All processes of a run draw from one seed, or they would not have the same tests."""
    os.environ.setdefault("CRASH_SEED", str(date.today().toordinal()))  # noqa: DTZ011 - only a seed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One group for each shared stack, and one for each other module; the longest begin."""
    groups = {item: _group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    order = list(SHARED.values())
    items.sort(key=lambda item: order.index(groups[item]) if groups[item] in order else len(order))


def _group_of(item: pytest.Item) -> str:
    plugins = getattr(getattr(item, "module", None), "pytest_plugins", ())
    shared = (SHARED[plugin] for plugin in plugins if plugin in SHARED)
    return next(shared, item.nodeid.partition("::")[0])
