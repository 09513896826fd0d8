"""Metrics for Prometheus, computed from the ledger when they are asked for.

Rule: the ledger is the one source, so the counters are exact, survive every kill, and are the
same from each API process; series of orders that never happened exist with 0, so that a rate sees
the first failure. A failure is an order that was rejected, broke, or expired with nothing filled;
a success is one that was filled. A denial, a cancel and a part that expired are neither.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

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

from activities.ledger.view_models import DurationHistogram, OrderCount
from starters.api.documentation import QUERY_CODES, error_answers
from starters.api.parameters import only
from starters.client import WORKFLOW_TYPES
from starters.connections import Connections
from workers.settings import Settings
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import OrderType

DURATION_BUCKETS_S = tuple(
    map(Decimal, ("0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "300", "900", "3600"))
)
LABELS = ("workflow_type", "exchange")
_FAILED = (OrderStatus.REJECTED, OrderStatus.FAILED)

router = APIRouter(tags=["metrics"], dependencies=[Depends(only())])
Series = tuple[str, str]
"""The labels: workflow type, exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the ledger said, and the exchanges whose series must exist."""

    counts: Sequence[OrderCount]
    durations: Sequence[DurationHistogram]
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
            "Orders that were filled.",
            [each for each in counts if each.status == OrderStatus.FILLED],
        )
        yield self._counter(
            "trade_execution_failure",
            "Orders that were rejected, broke, or expired with nothing filled.",
            [each for each in counts if is_failure(each)],
        )
        yield self._durations()
        yield self._states()

    def _counter(self, name: str, text: str, counted: Iterable[OrderCount]) -> CounterMetricFamily:
        totals: Counter[Series] = Counter(dict.fromkeys(self._known_series(), 0))
        for each in counted:
            totals[_series(each)] += each.count
        family = CounterMetricFamily(name, text, labels=LABELS)
        for series, total in sorted(totals.items()):
            family.add_metric(series, total)
        return family

    def _known_series(self) -> Iterator[Series]:
        for workflow_type in WORKFLOW_TYPES.values():
            for exchange in self._figures.exchanges:
                yield workflow_type, exchange

    def _durations(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(
            "trade_execution_duration_seconds",
            "From an order's registration to its end.",
            labels=LABELS,
        )
        for each in self._figures.durations:
            family.add_metric(
                _series(each), _cumulative(each.counts), sum_value=float(each.total_s)
            )
        return family

    def _states(self) -> GaugeMetricFamily:
        totals: Counter[tuple[str, ...]] = Counter()
        for each in self._figures.counts:
            totals[*_series(each), each.status] += each.count
        family = GaugeMetricFamily(
            "orders_by_state", "Orders ever registered, by state.", labels=(*LABELS, "state")
        )
        for labels, total in sorted(totals.items()):
            family.add_metric(labels, total)
        return family


def is_failure(counted: OrderCount) -> bool:
    """True for orders whose execution failed, as the alert counts them."""
    if counted.status == OrderStatus.EXPIRED:
        return not counted.has_fills
    return counted.status in _FAILED


def _series(row: OrderCount | DurationHistogram) -> Series:
    return WORKFLOW_TYPES[OrderType(row.order_type)], row.exchange


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
    """Executions by outcome and duration, and orders by state, from the ledger."""
    connections: Connections = request.app.state.connections
    settings: Settings = request.app.state.settings
    async with connections.ledger() as ledger:
        figures = Figures(
            counts=await ledger.order_counts(),
            durations=await ledger.order_durations(DURATION_BUCKETS_S),
            exchanges=settings.exchanges,
        )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(figures))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
