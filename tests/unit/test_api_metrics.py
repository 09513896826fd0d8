"""The metrics that the alert rules read: what counts as success and failure, and the buckets."""

from decimal import Decimal

from prometheus_client.parser import text_string_to_metric_families

from activities.ledger.view_models import (
    DurationHistogram,
    ExecutionCount,
    ExecutionDurations,
    OrderCount,
)
from starters.api.metrics import DURATION_BUCKETS_S
from starters.kinds import EXECUTION_TYPES, WORKFLOW_TYPES
from tests.unit.starters_fakes import FakeConnections, call, settings_of
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.orders import OrderType


def count(status: str, number: int, *, has_fills: bool = False) -> OrderCount:
    return OrderCount(
        order_type="market", exchange="binance", status=status, has_fills=has_fills, count=number
    )


def executions(
    status: ExecutionStatus, number: int, *venues: str, kind: str = "arbitrage"
) -> ExecutionCount:
    return ExecutionCount(
        kind=ExecutionKind(kind), venues=venues, status=status, has_fills=False, count=number
    )


async def read(
    counts: list[OrderCount],
    durations: list[DurationHistogram],
    *executed: ExecutionCount,
    took: tuple[ExecutionDurations, ...] = (),
    exchanges: str = "binance",
) -> dict:
    rows = {
        "order_counts": counts,
        "order_durations": durations,
        "execution_counts": list(executed),
        "execution_durations": list(took),
    }
    settings = settings_of(EXCHANGES=exchanges)
    answer = await call(FakeConnections(rows=rows), "GET", "/metrics", settings=settings)
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


async def test_failed_executions_are_those_that_failed_were_unwound_or_left_a_residual() -> None:
    pair = ("binance", "okx")
    samples = await read(
        [],
        [],
        executions(ExecutionStatus.COMPLETED, 1, *pair),
        executions(ExecutionStatus.FAILED, 2, *pair),
        executions(ExecutionStatus.UNWOUND, 4, *pair),
        executions(ExecutionStatus.RESIDUAL_HELD, 8, *pair),
        executions(ExecutionStatus.PARTIAL, 16, *pair),  # nothing is left over: neither
        executions(ExecutionStatus.DENIED, 32, *pair),  # our own no: neither
        executions(ExecutionStatus.CANCELLED, 64, *pair),  # the user's wish: neither
        executions(ExecutionStatus.RUNNING, 128, *pair),
    )
    these = {"workflow_type": "Arbitrage", "exchange": "binance|okx"}
    assert samples["trade_execution_success_total", labels(**these)] == 1
    assert samples["trade_execution_failure_total", labels(**these)] == 14
    assert samples["executions_by_state", labels(**these, state="running")] == 128


async def test_an_arbitrage_is_labelled_by_its_way_and_a_rebalancing_by_its_venue_or_multi() -> (
    None
):
    done = ExecutionStatus.COMPLETED
    samples = await read(
        [],
        [],
        executions(done, 1, "okx", "binance"),
        executions(done, 2, "okx", kind="rebalance"),
        executions(done, 4, "binance", "okx", kind="rebalance"),
        executions(done, 8, "okx", "kraken", kind="rebalance"),
    )
    totals = {
        dict(key)["exchange"]: value
        for (name, key), value in samples.items()
        if name == "trade_execution_success_total" and value
    }
    assert totals == {"okx|binance": 1, "okx": 2, "multi": 12}


async def test_series_of_executions_exist_before_the_first_one() -> None:
    samples = await read([], [], exchanges="binance,okx")
    for workflow_type, exchange in (
        ("Arbitrage", "binance|okx"),
        ("Arbitrage", "okx|binance"),
        ("Rebalance", "okx"),
        ("Rebalance", "multi"),
    ):
        these = labels(workflow_type=workflow_type, exchange=exchange)
        assert samples["trade_execution_failure_total", these] == 0


async def test_durations_of_executions_at_several_venues_are_one_series() -> None:
    counts = (2, *([0] * len(DURATION_BUCKETS_S)))
    took = tuple(
        ExecutionDurations(
            kind=ExecutionKind.REBALANCE, venues=venues, counts=counts, total_s=Decimal("0.1")
        )
        for venues in (("binance", "okx"), ("okx", "kraken"))
    )
    samples = await read([], [], took=took)
    these = {"workflow_type": "Rebalance", "exchange": "multi"}
    assert samples["trade_execution_duration_seconds_count", labels(**these)] == 4
    assert samples["trade_execution_duration_seconds_sum", labels(**these)] == 0.2


def test_each_type_of_order_and_kind_of_execution_has_its_workflow() -> None:
    assert set(WORKFLOW_TYPES) == set(OrderType)
    assert set(EXECUTION_TYPES) == set(ExecutionKind)
