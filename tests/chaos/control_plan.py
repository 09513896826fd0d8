"""What people do during a chaos run: orders by hand, money moved, the kill switch, limits.

Rule: pure, drawn from a seed. The switch is thrown for one strategy or one symbol of one venue, and
back again; a limit is set and unset. What is placed by hand bears ids of its own.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from activities.ledger.results import TradingState
from tests.chaos.fault_plan import ANCHOR, Options, PlannedFault
from tests.e2e.world import HEDGE, MAIN, MOVING, STILL

HAND = "byhand"
"""How the ids of orders begin that are made by hand; every venue takes them so."""
HAND_MADE_PER_VENUE, DEPOSITS_PER_VENUE = (2, 5), (0, 2)
LIMITS_PER_RUN = (0, 2)
LASTS_S = (0.3, 2.0)
STRATEGIES = 4
_DEPOSITS: Mapping[str, tuple[str, ...]] = {
    "USDT": ("250.5", "-100", "12.00000001"),
    "BTC": ("0.01", "-0.002"),
    "ETH": ("0.5", "-0.1"),
}
_LOT = {STILL: Decimal("0.00001"), MOVING: Decimal("0.0001")}


class Deed(StrEnum):
    """What an operator does, and takes back."""

    SWITCH = "switch"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDeed:
    """An operator's deed at `at_s`, taken back `lasts_s` seconds after it was done.

    `state` is that of a switch, `value` that of a limit of the largest order (quote units).
    """

    at_s: float
    deed: Deed
    scope: str
    lasts_s: float
    state: TradingState = TradingState.ACTIVE
    value: Decimal | None = None


def deeds_of(draw: random.Random, duration_s: float, name: str) -> Iterator[PlannedDeed]:
    """One halt, maybe with limits before or behind it; `name` begins the strategies' names."""
    strategy = f"strategy:{name}-{draw.randint(1, STRATEGIES)}"
    symbol = f"symbol:{draw.choice(('binance', 'okx'))}:{MOVING}"
    yield PlannedDeed(
        at_s=round(draw.uniform(duration_s * 0.2, duration_s * 0.6), 3),
        deed=Deed.SWITCH,
        scope=draw.choice((strategy, symbol)),
        lasts_s=round(draw.uniform(*LASTS_S), 3),
        state=draw.choice((TradingState.HALTED, TradingState.HALTED, TradingState.REDUCING)),
    )
    limited = draw.sample(range(1, STRATEGIES + 1), draw.randint(*LIMITS_PER_RUN))
    for number in limited:
        yield PlannedDeed(
            at_s=round(draw.uniform(0, duration_s * 0.6), 3),
            deed=Deed.LIMIT,
            scope=f"strategy:{name}-{number}",
            lasts_s=round(draw.uniform(*LASTS_S), 3),
            value=Decimal(draw.choice((100, 400, 1_000))),
        )


def hand_made(
    draw: random.Random, duration_s: float, venue: str, name: str
) -> Iterator[PlannedFault]:
    """Orders that meet ours or rest for a while, and money that comes or goes."""
    for number in range(draw.randint(*HAND_MADE_PER_VENUE)):
        at_s = round(draw.uniform(0, duration_s * 0.8), 3)
        named: Options = {"client_order_id": f"{HAND}{name}{number}"}
        yield _act(venue, at_s, "place", named | _order(draw))
        gone_s = round(at_s + draw.uniform(0.2, 1.5), 3)
        yield _act(venue, gone_s, "cancel", named)
    for _ in range(draw.randint(*DEPOSITS_PER_VENUE)):
        asset = draw.choice(sorted(_DEPOSITS))
        moved: Options = {"account": draw.choice((MAIN, HEDGE)), "asset": asset}
        at_s = round(draw.uniform(0, duration_s * 0.8), 3)
        yield _act(venue, at_s, "deposit", moved | {"amount": draw.choice(_DEPOSITS[asset])})


def _order(draw: random.Random) -> Options:
    symbol, side = draw.choice((STILL, MOVING)), draw.choice(("buy", "sell"))
    value = Decimal(draw.randint(50, 500))
    body: Options = {
        "account": draw.choice((MAIN, HEDGE)),
        "symbol": symbol,
        "side": side,
        "quantity": str((value / ANCHOR[symbol]).quantize(_LOT[symbol])),
    }
    if draw.random() < 0.4:
        return body
    away = Decimal(repr(round(draw.uniform(-0.002, 0.002), 4)))
    return body | {"price": str((ANCHOR[symbol] * (1 + away)).quantize(Decimal("0.1")))}


def _act(venue: str, at_s: float, name: str, options: Options) -> PlannedFault:
    return PlannedFault(venue=venue, at_s=at_s, name=name, options=options, is_action=True)
