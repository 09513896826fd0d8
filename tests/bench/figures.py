"""The pure part of the benchmark: its measures' names, percentiles, and the line of a measure.

Rule: no clock, no stack, no output. Durations are milliseconds unless a name says otherwise.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

MEASURES = (
    "submit_latency_p50",
    "submit_latency_p99",
    "orders_per_second",
    "twap_lateness_p50",
    "twap_lateness_p99",
    "events_per_slice",
    "fill_to_ledger_p50",
    "fill_to_ledger_p99",
    "fill_to_reader_p50",
    "fill_to_reader_p99",
    "raw_ccxt_p50",
    "leg_skew_p50",
    "leg_skew_p99",
    "unwind_latency_p50",
    "arbitrages_per_second",
    "stop_trigger_p50",
    "stop_trigger_p99",
    "stop_burst_p99",
    "stop_exit_p50",
    "stop_exit_p99",
    "stops_cpu",
    "stops_rss",
    *(
        f"api_accepts_{n}_{what}"
        for n in (1, 10, 50)
        for what in ("per_second", "p50", "p99", "asked_again")
    ),
    "books_order_p99",
    "books_position_p99",
    "books_statistics_p99",
    "books_reconciliation_p99",
    "recovery_s",
)
"""In the order in which they are measured; the last one kills workers."""
_DIGITS = 3


class UnknownMeasureError(ValueError):
    """No measure has this name or begins with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure, and what the bare parts reach in the same run (None: nothing to compare)."""

    name: str
    value: float
    unit: str
    baseline: float | None = None

    def line(self) -> str:
        """The measure as one line of JSON; `ratio` is value / baseline."""
        ratio = self.value / self.baseline if self.baseline else None
        return json.dumps(
            {
                "measure": self.name,
                "value": _rounded(self.value),
                "unit": self.unit,
                "baseline": _rounded(self.baseline),
                "ratio": _rounded(ratio),
            }
        )


def chosen(only: str | None) -> tuple[str, ...]:
    """The measures that `only` names, wholly or by how they begin; all without it."""
    names = tuple(name for name in MEASURES if name.startswith(only or ""))
    if not names:
        raise UnknownMeasureError(f"no measure {only!r}; there are: {', '.join(MEASURES)}")
    return names


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that `percent` % of all do not exceed."""
    if not values:
        raise ValueError("no values")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def median(values: Sequence[float]) -> float:
    """The 50th percentile."""
    return percentile(values, 50)


def p50_and_p99(
    name: str, values: Sequence[float], baseline: Sequence[float] | None
) -> list[Measure]:
    """The two usual measures of a set of durations in milliseconds."""
    return [
        Measure(
            name=f"{name}_p{percent}",
            value=percentile(values, percent),
            unit="ms",
            baseline=percentile(baseline, percent) if baseline else None,
        )
        for percent in (50, 99)
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
