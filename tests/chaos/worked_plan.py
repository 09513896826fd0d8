"""The orders of a chaos run that wait: icebergs, and triggers kept by the venue or the engine.

Rule: pure, drawn from a seed. Prices are near the market, so that the spikes of a run reach some of
them and not others. What a venue cannot keep is denied: that is an answer too.
"""

import random
from decimal import Decimal

from activities.venues.dialects import dialect_of
from tests.chaos.fault_plan import ANCHOR, PlannedFault, aimed_at_cancel, aimed_fault
from tests.chaos.planned import PlannedSteer, Route
from workflows.domain.orders import client_order_id
from workflows.steering_messages import ActionKind

Body = dict[str, object]
TIMEOUT_CHANCE, LIMIT_CHANCE, FAULTY_SHARE = 0.25, 0.3, 0.3
STEERED_SHARE, RESUMED_SHARE = 0.4, 0.8
STEERABLE_ROUTES = (Route.CLIENT, Route.HTTP)
_NEAREST, _FARTHEST = 0.0002, 0.003
_OPPOSITE = {"buy": "sell", "sell": "buy"}


class Waiting:
    """Draws the bodies of orders that wait, and what is done to them meanwhile."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def iceberg(self, symbol: str, side: str, tick: Decimal) -> Body:
        """At the anchor or near it, so that most trade some tips."""
        draw = self._draw
        body: Body = {"order_type": "iceberg", "price": self._at(symbol, side, tick, -0.0005)}
        body["iceberg_visible_ratio"] = draw.choice(("0.25", "0.4", "0.5"))
        if (placement := draw.choice(("auto", "engine", "native"))) != "auto":
            body["placement"] = placement
        if placement == "engine":
            body |= draw.choice(
                (
                    {},
                    {"iceberg_variance": "0.2"},
                    {"replenish_delay_s": "0.3"},
                    {"peg_offset": "0", "reprice_interval_s": "0.3"},
                )
            )
        if draw.random() < 0.2:
            body["post_only"] = True
        return body | self._timeout()

    def stop_loss(self, symbol: str, side: str, tick: Decimal) -> Body:
        """On the far side of the market; with a limit price some of the time."""
        body: Body = {"order_type": "stop_loss"}
        body["stop_price"] = self._away(symbol, side, tick)
        return body | self._limit(symbol, side, tick) | self._kept() | self._timeout()

    def take_profit(self, symbol: str, side: str, tick: Decimal) -> Body:
        """On the near side."""
        body: Body = {"order_type": "take_profit"}
        body["take_profit_price"] = self._profit(symbol, side, tick)
        return body | self._kept() | self._timeout()

    def trailing_stop(self, symbol: str, side: str, tick: Decimal) -> Body:
        """By distances that the moving market covers, and by some that only spikes do."""
        body: Body = {"order_type": "trailing_stop"}
        body["trailing_delta_bps"] = self._draw.randint(3, 40)
        if self._draw.random() < 0.2:
            body["activation_price"] = self._profit(symbol, side, tick)
        return body | self._kept() | self._timeout()

    def oco(self, symbol: str, side: str, tick: Decimal) -> Body:
        """A limit where the profit is, a stop on the other side."""
        body: Body = {"order_type": "oco", "oco_limit_price": self._profit(symbol, side, tick)}
        body["stop_price"] = self._away(symbol, side, tick)
        return body | self._limit(symbol, side, tick) | self._kept() | self._timeout()

    # --- what is done to them -------------------------------------------------------------------

    def steers(self, body: Body, tick: Decimal, lot: Decimal) -> tuple[PlannedSteer, ...]:
        """A pause that mostly ends, or an amendment; none for most orders."""
        draw = self._draw
        if draw.random() >= STEERED_SHARE:
            return ()
        at_s = round(draw.uniform(0, 2.0), 3)
        if draw.random() < 0.5:
            return (self._amendment(body, tick, lot, at_s),)
        by, resumed_s = self._route(), round(at_s + draw.uniform(0.2, 1.5), 3)
        pause = PlannedSteer(kind=ActionKind.PAUSE, by=by, after_s=at_s)
        if draw.random() >= RESUMED_SHARE:
            return (pause,)
        return (pause, PlannedSteer(kind=ActionKind.RESUME, by=self._route(), after_s=resumed_s))

    def faults(self, order_id: str, venue: str) -> tuple[PlannedFault, ...]:
        """One that is aimed at the first child, or at its cancel; none for most orders."""
        if self._draw.random() >= FAULTY_SHARE:
            return ()
        ours = dialect_of(venue).render_id(client_order_id(order_id, 0))
        aimed = self._draw.choice((aimed_fault, aimed_at_cancel))
        return (aimed(self._draw, venue, ours),)

    def _amendment(self, body: Body, tick: Decimal, lot: Decimal, at_s: float) -> PlannedSteer:
        draw, changes, ends_after_s = self._draw, Body(), None
        what = draw.choice(("quantity", "price", "end_at"))
        if what == "quantity":
            factor = Decimal(repr(round(draw.uniform(0.3, 1.6), 3)))
            changes[what] = str((Decimal(str(body["quantity"])) * factor).quantize(lot))
        elif what == "price" and "price" in body:
            factor = Decimal(repr(round(draw.uniform(0.999, 1.001), 5)))
            changes[what] = str((Decimal(str(body["price"])) * factor).quantize(tick))
        else:
            ends_after_s = round(draw.uniform(0.5, 5.0), 3)
        return PlannedSteer(
            kind=ActionKind.AMEND,
            by=self._route(),
            after_s=at_s,
            changes=changes,
            ends_after_s=ends_after_s,
        )

    def _route(self) -> Route:
        return self._draw.choice(STEERABLE_ROUTES)

    # --- options --------------------------------------------------------------------------------

    def _kept(self) -> Body:
        """Who keeps the trigger, and how: what no venue takes is kept by the engine."""
        draw = self._draw
        return draw.choice(
            (
                {},
                {},
                {"placement": "native"},
                {"placement": "engine"},
                {"placement": "engine", "trigger_source": draw.choice(("last", "mid", "bid_ask"))},
                {"placement": "engine", "confirm_n": 2, "confirm_ms": 100},
                {"stale_after_ms": 800, "on_blind": draw.choice(("hold", "exit"))},
                {"max_slippage": "0.0002", "max_total_slippage": "0.002", "retry_ms": 100},
                {"reduce_only": True},
                {"max_slippage": "0", "max_total_slippage": "0", "on_exhausted": "alarm"},
            )
        )

    def _limit(self, symbol: str, side: str, tick: Decimal) -> Body:
        """The limit of a stop that has fired, far enough beyond any stop."""
        if self._draw.random() >= LIMIT_CHANCE:
            return {}
        body: Body = {"price": self._at(symbol, _OPPOSITE[side], tick, -_FARTHEST, -0.006)}
        timed: Body = {"post_trigger_timeout_s": "0.5"}
        timed["on_unfilled"] = self._draw.choice(("market", "leave"))
        return body | (timed if self._draw.random() < 0.5 else {})

    def _timeout(self) -> Body:
        if self._draw.random() >= TIMEOUT_CHANCE:
            return {}
        return {"timeout_s": str(round(self._draw.uniform(1.0, 6.0), 2))}

    def _profit(self, symbol: str, side: str, tick: Decimal) -> str:
        """Where `side` would rest: below the market for a buy."""
        return self._at(symbol, side, tick, -_NEAREST, -_FARTHEST)

    def _away(self, symbol: str, side: str, tick: Decimal) -> str:
        """Where the opposite side would rest."""
        return self._profit(symbol, _OPPOSITE[side], tick)

    def _at(self, symbol: str, side: str, tick: Decimal, least: float, most: float = 0.0005) -> str:
        """The fraction counts from the anchor into the market of `side`, below 0 away from it."""
        into = Decimal(repr(round(self._draw.uniform(least, most), 6)))
        sign = 1 if side == "buy" else -1
        return str((ANCHOR[symbol] * (1 + sign * into)).quantize(tick))
