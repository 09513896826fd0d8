"""Which faults of the paper exchange a chaos run meets, and how hard.

Rule: pure, drawn from a seed. Only what a venue may do without breaking its own promises: orders
become visible within the read lag, late requests are refused by the window, trades are listed
sooner or later. The delays fit the protocol's figures at a tenth of their size. A rule says what it
meets by purpose, so that it holds in every dialect; codes and field names are the venue's.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from activities.venues.simulator.faults.dialect import Purpose
from tests.e2e.world import HEDGE, MAIN, MOVING, STILL, VENUE

Options = dict[str, object]
PUBLIC = " of the public stream"
"""Ends the name of a rule for prices; those of our own orders have no such end."""
RULES_PER_RUN = (4, 8)
ACTS_PER_RUN = (1, 4)
SPIKES_PER_RUN = (8, 14)
SPIKES = (0.001, 0.005)
"""How far the price jumps, as a share of it."""
ANCHOR = {STILL: Decimal(50_000), MOVING: Decimal(2_500)}
"""Where the prices are, or about which they move; quote units."""
ORDERS_ONLY: Options = {"purpose": Purpose.SUBMIT.value}
CANCELS_ONLY: Options = {"purpose": Purpose.CANCEL.value}
AIMED = (
    "drop_before",
    "drop_after",
    "hang_before",
    "hang_after",
    "accept_then_timeout",
    "accept_then_reset",
    "accept_then_5xx",
    "reject_then_timeout",
    "refuse",
    "late",
    "answer_late",
    "rate_limited",
    "firewall",
    "server_error",
    "maintenance",
    "unknown_code",
    "html",
    "empty",
    "truncated",
    "not_found",
    "event_lost",
    "event_late",
    "event_duplicate",
)
"""Faults of one order; `refuse` is a leg that its venue does not want."""

AIMED_AT_CANCELS = (
    "drop_before",
    "drop_after",
    "hang_before",
    "accept_then_reset",
    "accept_then_5xx",
    "answer_late",
    "rate_limited",
    "server_error",
    "maintenance",
    "html",
    "empty",
    "fill_first",
    "cancel_unacked",
)
"""Faults of the cancel of one order, or of one order list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What differs between the venues' dialects: codes of unknown outcomes, the id's field."""

    unknown_codes: tuple[int, ...]
    id_field: str


_WORDS: Mapping[str, Words] = {
    "binance": Words(unknown_codes=(-1006, -1007), id_field="orderId"),
    "okx": Words(unknown_codes=(50004, 50013), id_field="ordId"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A rule that holds at a venue from `at_s` on, or one action at that moment."""

    venue: str = VENUE
    at_s: float
    name: str
    options: Mapping[str, object]
    is_action: bool = False


def faults_of(draw: random.Random, duration_s: float, venue: str = VENUE) -> Iterator[PlannedFault]:
    """Some rules at a venue from the start on, and some actions in between."""
    rules = _rules_of(_WORDS[venue])
    for key in draw.sample(sorted(rules), draw.randint(*RULES_PER_RUN)):
        options, name = rules[key](draw), key.removesuffix(PUBLIC)
        chance = round(draw.uniform(0.1, 0.5), 3)
        if not {"purpose", "method"} & set(options) and not name.startswith("event_"):
            chance = round(chance / 4, 4)  # it hits reads too, which are many
        options = {"probability": chance, "times": 0} | options
        yield PlannedFault(venue=venue, at_s=0, name=name, options=options)
    for _ in range(draw.randint(*ACTS_PER_RUN)):
        at_s = round(draw.uniform(0, duration_s * 0.8), 3)
        yield from _acted(at_s, _ACTS[draw.choice(sorted(_ACTS))](draw), venue)
    for _ in range(draw.randint(*SPIKES_PER_RUN)):
        at_s = round(draw.uniform(duration_s * 0.2, duration_s), 3)
        yield from _acted(at_s, _spike(draw), venue)


def _acted(at_s: float, acts: "Acts", venue: str) -> Iterator[PlannedFault]:
    for after_s, action, options in acts:
        yield PlannedFault(
            venue=venue, at_s=at_s + after_s, name=action, options=options, is_action=True
        )


def aimed_fault(draw: random.Random, venue: str, client_order_id: str) -> PlannedFault:
    """One fault of the order that will bear this id."""
    name = draw.choice(AIMED)
    own = _AIMED_OPTIONS.get(name, {})
    options = {"client_order_id": client_order_id} | own
    if name not in ("not_found", *_EVENTS):
        options |= ORDERS_ONLY
    return PlannedFault(venue=venue, at_s=0, name=name, options=options)


def aimed_at_cancel(draw: random.Random, venue: str, client_order_id: str) -> PlannedFault:
    """One fault of the first cancel of the order that will bear this id."""
    name = draw.choice(AIMED_AT_CANCELS)
    own = _AIMED_OPTIONS.get(name, {})
    options = {"client_order_id": client_order_id} | own | CANCELS_ONLY
    return PlannedFault(venue=venue, at_s=0, name=name, options=options)


_EVENTS = ("event_lost", "event_late", "event_duplicate")
_AIMED_OPTIONS: Mapping[str, Options] = {
    "reject_then_timeout": {"delay_s": 2.0},
    "late": {"delay_s": 0.3},
    "answer_late": {"delay_s": 0.4},
    "not_found": {"for_s": 0.8},
    "event_late": {"delay_s": 0.5},
    "unknown_code": {"executed": True},
}


# --- rules ----------------------------------------------------------------------------------------


def _anywhere(**options: object) -> Callable[[random.Random], Options]:
    """Half of the time orders only, else any request."""
    return lambda draw: options | (ORDERS_ONLY if draw.random() < 0.5 else {})


def _delayed(least: float, most: float) -> Callable[[random.Random], Options]:
    return lambda draw: _anywhere(delay_s=round(draw.uniform(least, most), 3))(draw)


def _orders(**options: object) -> Callable[[random.Random], Options]:
    return lambda _draw: options | ORDERS_ONLY


def _cancels(**options: object) -> Callable[[random.Random], Options]:
    return lambda _draw: options | CANCELS_ONLY


def _events(**options: object) -> Callable[[random.Random], Options]:
    return lambda _draw: dict(options)


def _for(purpose: Purpose, **options: object) -> Callable[[random.Random], Options]:
    return lambda _draw: options | {"purpose": purpose.value}


def _unknown_code(codes: tuple[int, ...]) -> Callable[[random.Random], Options]:
    def drawn(draw: random.Random) -> Options:
        code, executed = draw.choice(codes), draw.random() < 0.5
        return {"code": code, "executed": executed} | ORDERS_ONLY

    return drawn


def _rate_limited(draw: random.Random) -> Options:
    return _anywhere(retry_after_s=draw.choice((None, 1)))(draw)


def _rules_of(words: Words) -> Mapping[str, Callable[[random.Random], Options]]:
    return {
        "drop_before": _anywhere(),
        "drop_after": _anywhere(),
        "hang_before": _anywhere(),
        "hang_after": _anywhere(),
        "accept_then_timeout": _orders(),
        "accept_then_reset": _anywhere(),
        "accept_then_5xx": _orders(status=503),
        "reject_then_timeout": _orders(delay_s=2.0),
        "late": _delayed(0.05, 1.0),
        "answer_late": _delayed(0.05, 1.0),
        "answer_twice": _anywhere(),
        "rate_limited": _rate_limited,
        "banned": lambda _draw: {"retry_after_s": 1, "for_s": 1.0, "times": 1},
        "firewall": _anywhere(),
        "server_error": _anywhere(status=502),
        "maintenance": _anywhere(),
        "unknown_code": _unknown_code(words.unknown_codes),
        "bad_timestamp": _orders(),
        "html": _anywhere(),
        "empty": _anywhere(),
        "truncated": _anywhere(),
        "not_utf8": _anywhere(),
        "nan": _anywhere(),
        "extra_fields": _anywhere(),
        "missing_fields": _orders(field=words.id_field),
        "not_found": _for(Purpose.LOOK_UP, for_s=0.8),
        "page_gap": _for(Purpose.OWN_TRADES, skip=1),
        "page_overlap": _for(Purpose.OWN_TRADES, repeat=2),
        "fill_first": _cancels(),
        "cancel_unacked": _cancels(),
        "event_duplicate": _events(copies=2),
        "event_late": _events(delay_s=0.5),
        "event_lost": _events(),
        "event_reorder": _events(depth=2),
        "event_before_ack": _events(),
        "event_after_cancel_ack": _events(),
        **{
            f"{name}{PUBLIC}": _events(stream="public", **own)
            for name, own in _EVERYBODYS_EVENTS.items()
        },
    }


_EVERYBODYS_EVENTS: Mapping[str, Options] = {
    "event_duplicate": {"copies": 2},
    "event_late": {"delay_s": 0.5},
    "event_lost": {},
    "event_reorder": {"depth": 2},
}
"""What can happen to the prices that a venue tells everybody."""


# --- actions --------------------------------------------------------------------------------------

Acts = list[tuple[float, str, Options]]
"""Seconds after the first one, action, options."""


def _cut(draw: random.Random) -> Acts:
    return [(0, "stream", {"mode": "cut", "account": draw.choice((MAIN, HEDGE))})]


def _silent(draw: random.Random) -> Acts:
    for_s = round(draw.uniform(0.5, 2.0), 3)
    return [
        (0, "stream", {"mode": "silent", "account": draw.choice((MAIN, HEDGE)), "for_s": for_s})
    ]


def _storm(draw: random.Random) -> Acts:
    return [(0, "stream", {"mode": "storm", "for_s": round(draw.uniform(0.5, 2.0), 3)})]


def _halt(draw: random.Random) -> Acts:
    symbol: Options = {"symbol": draw.choice((STILL, MOVING))}
    return [(0, "halt_symbol", symbol), (round(draw.uniform(0.2, 1.5), 3), "resume_symbol", symbol)]


def _clock(draw: random.Random) -> Acts:
    return [(0, "clock", {"offset_ms": draw.randint(-80, 80)})]


def _flow(draw: random.Random) -> Acts:
    side = draw.choice(("buy", "sell"))
    quantity = str(round(draw.uniform(0.01, 0.3), 4))
    return [(0, "flow", {"symbol": STILL, "side": side, "quantity": quantity})]


def _prices_cut(_draw: random.Random) -> Acts:
    return [(0, "stream", {"stream": "public", "mode": "cut"})]


def _prices_silent(draw: random.Random) -> Acts:
    for_s = round(draw.uniform(0.5, 3.0), 3)
    return [(0, "stream", {"stream": "public", "mode": "silent", "for_s": for_s})]


def _spike(draw: random.Random) -> Acts:
    """The price jumps, maybe stays, and comes back: what sets triggers off that are far away."""
    symbol: Options = {"symbol": draw.choice((STILL, STILL, MOVING))}
    away = draw.choice((-1, 1)) * Decimal(repr(round(draw.uniform(*SPIKES), 5)))
    price = (ANCHOR[str(symbol["symbol"])] * (1 + away)).quantize(Decimal("0.1"))
    trade = symbol | {"price": str(price), "quantity": "0.001"}
    if draw.random() < 0.3:
        return [(0, "trade", trade)]
    stays_s = round(draw.uniform(0.3, 1.0), 3)
    return [
        (0, "freeze_market", symbol),
        (0.03, "trade", trade),
        (stays_s, "thaw_market", symbol),
    ]


_ACTS: Mapping[str, Callable[[random.Random], Acts]] = {
    "prices_cut": _prices_cut,
    "prices_silent": _prices_silent,
    "cut": _cut,
    "silent": _silent,
    "storm": _storm,
    "halt": _halt,
    "clock": _clock,
    "flow": _flow,
}
