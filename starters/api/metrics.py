"""Metrics for Prometheus, computed from the ledger when they are asked for.

Rule: the ledger is the one source, so the counters are exact, survive every kill, and are the
same from each API process; series of what never happened exist with 0, so that a rate sees the
first failure. A failure is an order that was rejected, broke, or expired with nothing filled, and
an execution that failed, was unwound, or left a residual; a success is an order that was filled
and an execution that completed. A denial, a cancel and a part are neither. The legs of an
execution are not counted beside it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import permutations

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from activities.ledger.view_models import (
    DurationHistogram,
    ExecutionCount,
    ExecutionDurations,
    OrderCount,
)
from starters.api.access import needs, unbound
from starters.api.documentation import QUERY_CODES, error_answers
from starters.api.parameters import only
from starters.connections import Connections
from starters.kinds import EXECUTION_TYPES, WORKFLOW_TYPES
from workers.settings import Settings
from workflows.domain.access import Scope
from workflows.domain.denials import DenialCode
from workflows.domain.exact import exact
from workflows.domain.executions import ExecutionKind, ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType

DURATION_BUCKETS_S = tuple(
    map(Decimal, ("0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "300", "900", "3600"))
)
LABELS = ("workflow_type", "exchange")
MULTI = "multi"
"""The exchange label of an execution at more than one, where their order tells nothing."""
_FAILED = (OrderStatus.REJECTED, OrderStatus.FAILED)
_EXECUTION_FAILED = (
    ExecutionStatus.FAILED,
    ExecutionStatus.UNWOUND,
    ExecutionStatus.RESIDUAL_HELD,
)

router = APIRouter(
    tags=["metrics"],
    dependencies=[Depends(needs(Scope.READ)), Depends(unbound), Depends(only())],
)
Series = tuple[str, str]
"""The labels: workflow type, exchange."""
Counted = OrderCount | ExecutionCount
Timed = DurationHistogram | ExecutionDurations


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the ledger said, and the exchanges whose series must exist."""

    counts: Sequence[Counted]
    durations: Sequence[Timed]
    exchanges: Sequence[str]


class LedgerCollector(Collector):
    """Turns one reading of the ledger into metric families."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """The families; called by prometheus_client."""
        counts = self._figures.counts
        yield self._counter(
            "trade_execution_success",
            "Orders that were filled, executions that completed.",
            [each for each in counts if is_success(each)],
        )
        yield self._counter(
            "trade_execution_failure",
            "Orders that were rejected, broke, or expired with nothing filled; executions that"
            " failed, were unwound, or left a residual.",
            [each for each in counts if is_failure(each)],
        )
        yield self._durations()
        yield self._states("orders_by_state", "Orders ever registered, by state.", OrderCount)
        yield self._states(
            "executions_by_state", "Executions ever registered, by state.", ExecutionCount
        )

    def _counter(self, name: str, text: str, counted: Iterable[Counted]) -> CounterMetricFamily:
        totals: Counter[Series] = Counter(dict.fromkeys(self._known_series(), 0))
        for each in counted:
            totals[_series(each)] += each.count
        family = CounterMetricFamily(name, text, labels=LABELS)
        for series, total in sorted(totals.items()):
            family.add_metric(series, total)
        return family

    def _known_series(self) -> Iterator[Series]:
        exchanges = self._figures.exchanges
        for workflow_type in WORKFLOW_TYPES.values():
            for exchange in exchanges:
                yield workflow_type, exchange
        for pair in permutations(exchanges, 2):
            yield _series_of(ExecutionKind.ARBITRAGE, pair)
        for exchange in exchanges:
            yield _series_of(ExecutionKind.REBALANCE, (exchange,))
        if len(exchanges) > 1:
            yield _series_of(ExecutionKind.REBALANCE, tuple(exchanges))

    def _durations(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(
            "trade_execution_duration_seconds",
            "From the registration of an order or an execution to its end.",
            labels=LABELS,
        )
        totals: dict[Series, tuple[list[int], Decimal]] = {}
        for each in self._figures.durations:
            # several sets of venues share the series of executions at more than one
            counts, total_s = totals.get(_series(each), ([0] * len(each.counts), Decimal(0)))
            summed = [old + new for old, new in zip(counts, each.counts, strict=True)]
            with exact():
                totals[_series(each)] = (summed, total_s + each.total_s)
        for series, (counts, total_s) in totals.items():
            family.add_metric(series, _cumulative(counts), sum_value=float(total_s))
        return family

    def _states(self, name: str, text: str, kind: type[Counted]) -> GaugeMetricFamily:
        totals: Counter[tuple[str, ...]] = Counter()
        for each in self._figures.counts:
            if isinstance(each, kind):
                totals[*_series(each), each.status] += each.count
        family = GaugeMetricFamily(name, text, labels=(*LABELS, "state"))
        for labels, total in sorted(totals.items()):
            family.add_metric(labels, total)
        return family


def is_success(counted: Counted) -> bool:
    """True for what ended as it was meant to."""
    if isinstance(counted, ExecutionCount):
        return counted.status is ExecutionStatus.COMPLETED
    return counted.status == OrderStatus.FILLED


def is_failure(counted: Counted) -> bool:
    """True for what failed to execute, as the alert counts it."""
    if isinstance(counted, ExecutionCount):
        return counted.status in _EXECUTION_FAILED
    if counted.status == OrderStatus.EXPIRED:
        return not counted.has_fills
    return counted.status in _FAILED


def _series(row: Counted | Timed) -> Series:
    if isinstance(row, ExecutionCount | ExecutionDurations):
        return _series_of(row.kind, row.venues)
    return WORKFLOW_TYPES[OrderType(row.order_type)], row.exchange


def _series_of(kind: ExecutionKind, venues: Sequence[str]) -> Series:
    """An arbitrage's label says where it buys and where it sells, as `binance|okx`."""
    is_pair = kind is ExecutionKind.ARBITRAGE
    exchange = "|".join(venues) if is_pair or len(venues) == 1 else MULTI
    return EXECUTION_TYPES[kind], exchange


def _cumulative(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Prometheus' buckets hold all that is at most their bound."""
    bounds = [*(f"{bound:f}" for bound in DURATION_BUCKETS_S), "+Inf"]
    total, buckets = 0, []
    for bound, count in zip(bounds, counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"},
        **error_answers(*QUERY_CODES, DenialCode.UNAVAILABLE),
    },
)
async def metrics(request: Request) -> Response:
    """Orders and executions by outcome, duration and state, from the ledger."""
    connections: Connections = request.app.state.connections
    settings: Settings = request.app.state.settings
    async with connections.ledger() as ledger:
        figures = Figures(
            counts=[*await ledger.order_counts(), *await ledger.execution_counts()],
            durations=[
                *await ledger.order_durations(DURATION_BUCKETS_S),
                *await ledger.execution_durations(DURATION_BUCKETS_S),
            ],
            exchanges=settings.exchanges,
        )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(figures))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
