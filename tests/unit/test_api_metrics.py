"""The metrics that the alert rules read: what counts as success and failure, and the buckets."""

from decimal import Decimal

from prometheus_client.parser import text_string_to_metric_families

from activities.ledger.view_models import DurationHistogram, OrderCount
from starters.api.metrics import DURATION_BUCKETS_S
from starters.client import WORKFLOW_TYPES
from tests.unit.starters_fakes import FakeConnections, call
from workflows.domain.orders import OrderType


def count(status: str, number: int, *, has_fills: bool = False) -> OrderCount:
    return OrderCount(
        order_type="market", exchange="binance", status=status, has_fills=has_fills, count=number
    )


async def read(counts: list[OrderCount], durations: list[DurationHistogram]) -> dict:
    rows = {"order_counts": counts, "order_durations": durations}
    answer = await call(FakeConnections(rows=rows), "GET", "/metrics")
    assert answer.status_code == 200
    samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return samples


def labels(**more: str) -> tuple:
    given = {"workflow_type": "MarketOrder", "exchange": "binance", **more}
    return tuple(sorted(given.items()))


async def test_failures_are_rejected_broken_or_empty_and_successes_are_filled() -> None:
    samples = await read(
        [
            count("filled", 5, has_fills=True),
            count("rejected", 1),
            count("failed", 2),
            count("expired", 4),
            count("expired", 8, has_fills=True),  # traded a part: neither
            count("denied", 16),  # our own no: neither
            count("cancelled", 32),  # the user's wish: neither
            count("working", 64),
        ],
        [],
    )
    assert samples["trade_execution_success_total", labels()] == 5
    assert samples["trade_execution_failure_total", labels()] == 7
    assert samples["orders_by_state", labels(state="working")] == 64
    assert samples["orders_by_state", labels(state="expired")] == 12


async def test_series_of_configured_exchanges_exist_before_the_first_order() -> None:
    samples = await read([], [])
    assert samples["trade_execution_failure_total", labels()] == 0
    assert samples["trade_execution_failure_total", labels(workflow_type="TwapOrder")] == 0


async def test_duration_buckets_are_cumulative_and_end_with_all() -> None:
    counts = (3, 2, *([0] * (len(DURATION_BUCKETS_S) - 2)), 1)
    took = DurationHistogram(
        order_type="market", exchange="binance", counts=counts, total_s=Decimal("12.5")
    )
    samples = await read([], [took])
    name = "trade_execution_duration_seconds"
    assert samples[f"{name}_bucket", labels(le="0.1")] == 3
    assert samples[f"{name}_bucket", labels(le="0.25")] == 5
    assert samples[f"{name}_bucket", labels(le="+Inf")] == 6
    assert samples[f"{name}_count", labels()] == 6
    assert samples[f"{name}_sum", labels()] == 12.5


def test_each_order_type_has_its_workflow() -> None:
    assert set(WORKFLOW_TYPES) == set(OrderType)
