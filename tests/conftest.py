"""Two processes run the tests: all that share an engine stay together, and come first.

An engine costs seconds to start and its tests mostly wait, so one process takes them all; the
other one takes module after module, and so does the first when the engine's tests are over.
Without `pytest -n` nothing here has an effect but the order.
"""

import os
from datetime import date

import pytest

SHARED_ENGINE = "tests.e2e.engine_stack"


def pytest_configure() -> None:
    """All processes of a run draw from one seed, or they would not have the same tests."""
    os.environ.setdefault("CRASH_SEED", str(date.today().toordinal()))  # noqa: DTZ011 - only a seed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One group for the shared engine, and one for each other module; the longest begins."""
    for item in items:
        module = getattr(item, "module", None)
        shares = SHARED_ENGINE in getattr(module, "pytest_plugins", ())
        name = "engine" if shares else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: not _is_in_engine(item))  # stable: else the order stays


def _is_in_engine(item: pytest.Item) -> bool:
    return any(mark.args == ("engine",) for mark in item.iter_markers("xdist_group"))
