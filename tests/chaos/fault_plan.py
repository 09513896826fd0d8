"""Which faults of the paper exchange a chaos run meets, and how hard.

Rule: pure, drawn from a seed. Only what a venue may do without breaking its own promises: orders
become visible within the read lag, late requests are refused by the window, trades are listed
sooner or later. The delays fit the protocol's figures at a tenth of their size.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.e2e.world import HEDGE, MAIN, MOVING, STILL

Options = dict[str, object]
RULES_PER_RUN = (4, 8)
ACTS_PER_RUN = (1, 4)
ORDERS_ONLY: Options = {"method": "POST", "path": "/order"}
CANCELS_ONLY: Options = {"method": "DELETE", "path": "/order"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A rule that holds from `at_s` on, or one action at that moment."""

    at_s: float
    name: str
    options: Mapping[str, object]
    is_action: bool = False


def faults_of(draw: random.Random, duration_s: float) -> Iterator[PlannedFault]:
    """Some rules from the start on, and some actions in between."""
    for name in draw.sample(sorted(_RULES), draw.randint(*RULES_PER_RUN)):
        options = _RULES[name](draw)
        chance = round(draw.uniform(0.1, 0.5), 3)
        if not {"path", "method"} & set(options) and not name.startswith("event_"):
            chance = round(chance / 4, 4)  # it hits reads too, which are many
        yield PlannedFault(at_s=0, name=name, options={"probability": chance, "times": 0} | options)
    for _ in range(draw.randint(*ACTS_PER_RUN)):
        name = draw.choice(sorted(_ACTS))
        at_s = round(draw.uniform(0, duration_s * 0.8), 3)
        for after_s, action, options in _ACTS[name](draw):
            yield PlannedFault(at_s=at_s + after_s, name=action, options=options, is_action=True)


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


def _reads(**options: object) -> Callable[[random.Random], Options]:
    return lambda _draw: options | {"method": "GET"}


def _events(**options: object) -> Callable[[random.Random], Options]:
    return lambda _draw: dict(options)


def _unknown_code(draw: random.Random) -> Options:
    code, executed = draw.choice((-1006, -1007)), draw.random() < 0.5
    return {"code": code, "executed": executed} | ORDERS_ONLY


def _rate_limited(draw: random.Random) -> Options:
    return _anywhere(retry_after_s=draw.choice((None, 1)))(draw)


_RULES: Mapping[str, Callable[[random.Random], Options]] = {
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
    "unknown_code": _unknown_code,
    "bad_timestamp": _orders(),
    "html": _anywhere(),
    "empty": _anywhere(),
    "truncated": _anywhere(),
    "not_utf8": _anywhere(),
    "nan": _anywhere(),
    "extra_fields": _anywhere(),
    "missing_fields": _orders(field="orderId"),
    "not_found": _reads(path="/order", for_s=0.8),
    "page_gap": _reads(path="/myTrades", skip=1),
    "page_overlap": _reads(path="/myTrades", repeat=2),
    "fill_first": _cancels(),
    "cancel_unacked": _cancels(),
    "event_duplicate": _events(copies=2),
    "event_late": _events(delay_s=0.5),
    "event_lost": _events(),
    "event_reorder": _events(depth=2),
    "event_before_ack": _events(),
    "event_after_cancel_ack": _events(),
}

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


_ACTS: Mapping[str, Callable[[random.Random], Acts]] = {
    "cut": _cut,
    "silent": _silent,
    "storm": _storm,
    "halt": _halt,
    "clock": _clock,
    "flow": _flow,
}
