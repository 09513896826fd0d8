"""The arbitrages of a chaos run: both ways between the venues, every mode, some with a fault aimed.

Rule: pure, drawn from a seed. The least profit is a loss, so that the legs trade whatever the
prices do: what is tried here is the saga, not the opportunity. A fault is aimed at one leg by the
client order id that it will bear.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from activities.venues.dialects import dialect_of
from tests.chaos.fault_plan import PlannedFault, aimed_fault
from tests.chaos.planned import PlannedArbitrage, PlannedStop, Route, Stop
from tests.e2e.world import HEDGE, MAIN, MOVING, STILL
from workflows import names
from workflows.domain.orders import client_order_id

VENUES = ("binance", "okx")
FAULTY_SHARE = 0.2
ACCOUNTS = (HEDGE, HEDGE, HEDGE, HEDGE, MAIN)
WAITING_SHARE = 0.9
TWICE_CHANCE, STOP_CHANCE = 0.2, 0.15
LEGS = ("buy", "buy", "buy", "sell", "sell", "sell", "unwind-1", "complete-1")
"""What a fault is aimed at; a compensation seldom is, for most arbitrages have none."""

_ANCHOR = {STILL: Decimal(50_000), MOVING: Decimal(2_500)}
_LOT = {STILL: Decimal("0.00001"), MOVING: Decimal("0.0001")}
_VALUES = (100, 1_500)
_TICK = Decimal("0.01")


class Arbitrages:
    """Draws arbitrages, one after the other."""

    def __init__(self, draw: random.Random, name: str) -> None:
        self._draw = draw
        self._name = name

    def several(self, count: int, duration_s: float) -> Iterator[PlannedArbitrage]:
        """So many, spread over the time."""
        times = sorted(round(self._draw.uniform(0, duration_s), 3) for _ in range(count))
        for number, at_s in enumerate(times):
            yield self._one(at_s, number)

    def _one(self, at_s: float, number: int) -> PlannedArbitrage:
        draw = self._draw
        buy_at, sell_at = draw.sample(VENUES, 2)
        symbol = draw.choice((STILL, MOVING))
        value = Decimal(draw.randint(*_VALUES))
        is_resting = draw.random() < 0.25
        into = (-0.002, 0.004) if is_resting else (0.002, 0.012)
        body: dict[str, object] = {
            "strategy_id": f"{self._name}-arb-{draw.randint(1, 3)}",
            "account": draw.choice(ACCOUNTS),
            "symbol": symbol,
            "buy_exchange": buy_at,
            "sell_exchange": sell_at,
            "buy_price": self._price(symbol, 1, *into),
            "sell_price": self._price(symbol, -1, *into),
            "amount": str((value / _ANCHOR[symbol]).quantize(_LOT[symbol])),
            "timeout": str(round(draw.uniform(0.5, 4.0), 2)),
            "mode": draw.choice(("concurrent", "concurrent", "sequential")),
            "leg_time_in_force": "GTC" if is_resting else "IOC",
            "one_sided_timeout": str(round(draw.uniform(0.2, 1.0), 2)),
            "min_profit": "-1000",
            "min_profit_worst": "-1000",
            "max_age": draw.choice(("2", "10")),
            "max_skew": draw.choice(("0.5", "5", "5")),
            "max_loss_bps": draw.choice(("50", "200", "1000")),
            "hold_retry": "0.5",
            "hold_for": str(round(draw.uniform(0.5, 3.0), 2)),
            "hold_end": draw.choice(("hold", "flatten")),
        }
        made = PlannedArbitrage(
            at_s=at_s,
            key=f"{self._name}-arb-{number}",
            body=body,
            routes=self._routes(),
            again_after_s=round(draw.uniform(0, 1.0), 3),
            stop=self._stop() if draw.random() < STOP_CHANCE else None,
            waits=draw.random() < WAITING_SHARE,
            faults=(),
        )
        if draw.random() >= FAULTY_SHARE:
            return made
        return self._with_fault(made, buy_at, sell_at)

    def _with_fault(self, made: PlannedArbitrage, buy_at: str, sell_at: str) -> PlannedArbitrage:
        leg = self._draw.choice(LEGS)
        venue = {"buy": buy_at, "sell": sell_at}.get(leg) or self._draw.choice((buy_at, sell_at))
        return replace(made, faults=(self._fault(made.order_id, leg, venue),))

    def _fault(self, execution_id: str, leg: str, venue: str) -> PlannedFault:
        ours = client_order_id(names.leg_order_id(execution_id, leg), 0)
        return aimed_fault(self._draw, venue, dialect_of(venue).render_id(ours))

    def _price(self, symbol: str, sign: int, least: float, most: float) -> str:
        """A price so far through the anchor to the filling side."""
        into = Decimal(repr(round(self._draw.uniform(least, most), 6)))
        return str((_ANCHOR[symbol] * (1 + sign * into)).quantize(_TICK))

    def _routes(self) -> tuple[Route, ...]:
        count = 2 if self._draw.random() < TWICE_CHANCE else 1
        return tuple(self._draw.choices(list(Route), k=count))

    def _stop(self) -> PlannedStop:
        after_s = round(self._draw.uniform(0, 2.0), 3)
        return PlannedStop(by=self._draw.choice(list(Stop)), after_s=after_s)
