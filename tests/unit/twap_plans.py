"""TWAP plans for tests: parameters with round numbers, and the answers to them."""

import itertools
from decimal import Decimal
from fractions import Fraction
from typing import Any

from workflows.domain.denials import Denied
from workflows.domain.schedules import TwapParameters, TwapSchedule, plan_twap

HALF = Fraction(1, 2)


def parameters(
    total: str = "100",
    step: str = "1",
    duration: str = "100",
    interval: str = "10",
    **options: Any,
) -> TwapParameters:
    options.setdefault("seed", "order-1")
    return TwapParameters(
        total=Decimal(total),
        step=Decimal(step),
        duration_s=Decimal(duration),
        interval_s=Decimal(interval),
        **options,
    )


def planned(given_parameters: TwapParameters, min_child_lots: int = 1) -> TwapSchedule:
    schedule = plan_twap(given_parameters, min_child_lots=min_child_lots)
    assert isinstance(schedule, TwapSchedule), schedule
    return schedule


def denied(given_parameters: TwapParameters, min_child_lots: int = 1) -> Denied:
    answer = plan_twap(given_parameters, min_child_lots=min_child_lots)
    assert isinstance(answer, Denied), answer
    return answer


def child_lots(schedule: TwapSchedule) -> list[int]:
    targets = schedule.cumulative_lots
    return [after - before for before, after in itertools.pairwise(targets)]
