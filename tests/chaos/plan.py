"""What a chaos run will do: orders, arbitrages, kills, faults, and people, all from one seed.

Rule: pure. The same seed gives the same plan, to the digit; only when things happen on a real
machine differs from run to run. Orders of both accounts meet each other and their own: of two of
one account one ends instead. It must not know how a plan is carried out.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from tests.chaos.arbitrage_plan import VENUES, Arbitrages
from tests.chaos.control_plan import STRATEGIES, deeds_of, hand_made
from tests.chaos.fault_plan import faults_of
from tests.chaos.planned import PATIENT, Plan, PlannedKill, PlannedOrder, PlannedStop, Route, Stop
from tests.chaos.worked_plan import Waiting
from tests.e2e.world import HEDGE, MAIN, MOVING, OKX, STILL, VENUE

DURATION_S = 8.0
ORDERS_PER_RUN, ARBITRAGES_PER_RUN = 45, 15
ACCOUNTS = (MAIN, MAIN, MAIN, MAIN, HEDGE)
"""Whose an order is: most arbitrages are of the other, for orders of one account do not trade with
each other, and an arbitrage that would is denied."""
ARBITRAGE_TAKES_S = 0.3
"""Arbitrages wait for each other: a plan with many of them is longer."""
SHORTEST_GAP_S, LONGEST_GAPS_S = 0.5, (1.0, 2.5, 5.0)
FREEZE_CHANCE, FREEZE_LONGEST_S = 0.25, 2.0
TWICE_CHANCE, STOP_CHANCE, PATIENT_STOP_CHANCE = 0.25, 0.4, 0.2
PARTS = ("worker", "worker", "temporal", "postgres", "paper", "api")
"""Kinds of parts to be killed; a worker twice as often."""
FREEZABLE = ("worker", "worker", "paper", "api", "temporal")


def seed_of_run(seed: int, run: int) -> int:
    """The seed of the run with this number: alone (RUNS=1) it makes the same plan again."""
    if run == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}-{run}".encode()).digest()[:4])


def plan_of(
    seed: int,
    *,
    orders: int = ORDERS_PER_RUN,
    arbitrages: int = ARBITRAGES_PER_RUN,
    duration_s: float = DURATION_S,
    name: str = "chaos",
) -> Plan:
    """The plan of a seed; `name` begins the ids. Many arbitrages make it last longer."""
    lasts_s = max(duration_s, arbitrages * ARBITRAGE_TAKES_S)
    draw = random.Random(f"orders {seed}")
    maker = _Orders(draw, f"{name}-{seed}")
    times = sorted(round(draw.uniform(0, lasts_s), 3) for _ in range(orders))
    pairs = Arbitrages(random.Random(f"arbitrages {seed}"), f"{name}-{seed}")
    return Plan(
        seed=seed,
        duration_s=lasts_s,
        orders=tuple(maker.order(at_s, number) for number, at_s in enumerate(times)),
        arbitrages=tuple(pairs.several(arbitrages, lasts_s)),
        kills=tuple(_kills(random.Random(f"kills {seed}"), lasts_s)),
        faults=tuple(
            fault
            for venue in VENUES
            for fault in (
                *faults_of(random.Random(f"faults {seed} {venue}"), lasts_s, venue),
                *hand_made(random.Random(f"hands {seed} {venue}"), lasts_s, venue, f"{seed}"),
            )
        ),
        deeds=tuple(deeds_of(random.Random(f"deeds {seed}"), lasts_s, f"{name}-{seed}")),
    )


def _kills(draw: random.Random, duration_s: float) -> Iterator[PlannedKill]:
    longest, at_s = draw.choice(LONGEST_GAPS_S), 0.0
    while True:
        at_s = round(at_s + draw.uniform(SHORTEST_GAP_S, longest), 3)
        if at_s > duration_s:
            return
        if draw.random() < FREEZE_CHANCE:
            freeze_s = round(draw.uniform(0.1, FREEZE_LONGEST_S), 3)
            yield PlannedKill(at_s=at_s, part=draw.choice(FREEZABLE), freeze_s=freeze_s)
        else:
            yield PlannedKill(at_s=at_s, part=draw.choice(PARTS))


# --- orders ---------------------------------------------------------------------------------------

_ANCHOR = {STILL: Decimal("50000.50"), MOVING: Decimal(2500)}
_LOT = {STILL: Decimal("0.00001"), MOVING: Decimal("0.0001")}
_VALUES = (50, 1_500)
"""Least and most value of an order, in quote currency."""
_TICK = {VENUE: Decimal("0.01"), OKX: Decimal("0.1")}


class _Orders:
    """Draws orders of every type, one after the other."""

    def __init__(self, draw: random.Random, name: str) -> None:
        self._draw = draw
        self._name = name
        self._tick = _TICK[VENUE]
        self._waiting = Waiting(draw)
        self._kinds = {
            self._market: 16,
            self._ioc: 8,
            self._fok: 6,
            self._post_only: 7,
            self._resting: 14,
            self._twap: 14,
        }
        self._waiting_kinds = {
            self._waiting.iceberg: 12,
            self._waiting.stop_loss: 8,
            self._waiting.take_profit: 6,
            self._waiting.trailing_stop: 8,
            self._waiting.oco: 9,
        }

    def order(self, at_s: float, number: int) -> PlannedOrder:
        draw = self._draw
        symbol, side = draw.choice((STILL, MOVING)), draw.choice(("buy", "sell"))
        value = Decimal(draw.randint(*_VALUES))
        self._tick = _TICK[exchange := draw.choice((VENUE, VENUE, OKX))]
        body: dict[str, object] = {
            "strategy_id": f"{self._name}-{draw.randint(1, STRATEGIES)}",
            "account": draw.choice(ACCOUNTS),
            "exchange": exchange,
            "symbol": symbol,
            "side": side,
            "quantity": str((value / _ANCHOR[symbol]).quantize(_LOT[symbol])),
        }
        body |= self._kind(symbol, side)
        is_limit = body["order_type"] == "limit" and "time_in_force" not in body
        is_patient = body["order_type"] in PATIENT
        rests = is_limit or is_patient or body["order_type"] == "twap"
        chance = PATIENT_STOP_CHANCE if is_patient else STOP_CHANCE
        made = PlannedOrder(
            at_s=at_s,
            key=f"{self._name}-{number}",
            body=body,
            routes=self._routes(),
            again_after_s=round(draw.uniform(0, 1.0), 3),
            stop=self._stop() if rests and draw.random() < chance else None,
        )
        if not rests:
            return made
        made = replace(made, steers=self._waiting.steers(body, self._tick, _LOT[symbol]))
        if not is_patient:
            return made
        return replace(made, faults=self._waiting.faults(made.order_id, exchange))

    def _kind(self, symbol: str, side: str) -> dict[str, object]:
        weights = [*self._kinds.values(), *self._waiting_kinds.values()]
        (number,) = self._draw.choices(range(len(weights)), weights)
        if number < len(self._kinds):
            return list(self._kinds)[number](symbol, side)
        waiting = list(self._waiting_kinds)[number - len(self._kinds)]
        return waiting(symbol, side, self._tick)

    def _routes(self) -> tuple[Route, ...]:
        count = 2 if self._draw.random() < TWICE_CHANCE else 1
        return tuple(self._draw.choices(list(Route), k=count))

    def _stop(self) -> PlannedStop:
        after_s = round(self._draw.uniform(0, 3.0), 3)
        return PlannedStop(by=self._draw.choice(list(Stop)), after_s=after_s)

    def _price(self, symbol: str, side: str, least: float, most: float) -> str:
        """A limit price; the fraction counts from the anchor into the market, below 0 away."""
        into = Decimal(repr(round(self._draw.uniform(least, most), 6)))
        sign = 1 if side == "buy" else -1
        return str((_ANCHOR[symbol] * (1 + sign * into)).quantize(self._tick))

    def _market(self, _symbol: str, _side: str) -> dict[str, object]:
        body: dict[str, object] = {"order_type": "market"}
        if self._draw.random() < 0.3:
            body["slippage_tolerance"] = "0.002"
        return body

    def _ioc(self, symbol: str, side: str) -> dict[str, object]:
        price = self._price(symbol, side, -0.0005, 0.005)
        return {"order_type": "limit", "price": price, "time_in_force": "IOC"}

    def _fok(self, symbol: str, side: str) -> dict[str, object]:
        price = self._price(symbol, side, 0.0, 0.008)
        return {"order_type": "limit", "price": price, "time_in_force": "FOK"}

    def _post_only(self, symbol: str, side: str) -> dict[str, object]:
        price = self._price(symbol, side, -0.002, 0.0005)
        return {"order_type": "limit", "price": price, "post_only": True} | self._timeout()

    def _resting(self, symbol: str, side: str) -> dict[str, object]:
        # exactly at the anchor half of the time: in the still market both sides meet there
        price = self._price(symbol, side, -0.001, 0.0005)
        if self._draw.random() < 0.5:
            price = str(_ANCHOR[symbol].quantize(self._tick))
        return {"order_type": "limit", "price": price} | self._timeout()

    def _timeout(self) -> dict[str, object]:
        return {"timeout_s": str(round(self._draw.uniform(0.5, 6.0), 2))}

    def _twap(self, _symbol: str, _side: str) -> dict[str, object]:
        slices = self._draw.randint(2, 6)
        body: dict[str, object] = {"order_type": "twap", "twap_slices": slices}
        body["twap_interval"] = str(round(self._draw.uniform(0.2, 1.2), 2))
        if self._draw.random() < 0.3:
            body |= {"size_jitter": "0.3", "time_jitter": "0.3"}
        if self._draw.random() < 0.3:
            body["catch_up"] = "immediate"
        if self._draw.random() < 0.3:
            body |= {"passive_fraction": "0.6", "reprice_interval_s": "0.2"}
        if self._draw.random() < 0.15:
            body["max_participation"] = "0.3"
        return body
