"""Two processes run the tests: one all that share an engine, the other everything else.

An engine costs seconds to start and its tests mostly wait, so they stay together on one of the two
cores. Without `pytest -n` nothing here has an effect.
"""

import os
from datetime import date

import pytest

SHARED_ENGINE = "tests.e2e.engine_stack"


def pytest_configure() -> None:
    """All processes of a run draw from one seed, or they would not have the same tests."""
    os.environ.setdefault("CRASH_SEED", str(date.today().toordinal()))  # noqa: DTZ011 - only a seed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into one of the two groups."""
    for item in items:
        module = getattr(item, "module", None)
        shares = SHARED_ENGINE in getattr(module, "pytest_plugins", ())
        item.add_marker(pytest.mark.xdist_group("engine" if shares else "rest"))
