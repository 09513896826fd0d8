"""Children that rest: at a fixed price, or following the touch by cancel, confirm, replace.

Rule: one child at a time. While it rests, the market is looked at once per interval; it is taken
back when the price that it should have now differs by enough, and the strategy places the next
one, sized from what is confirmed by then.
"""

from abc import ABC
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow

from workflows.acceptance import Market, read_market
from workflows.child_state import ChildState
from workflows.domain.exact import times
from workflows.durations import seconds
from workflows.parent_order import ParentOrder
from workflows.waiting import wait_until

PriceNow = Callable[[Market], Decimal | None]
"""The price that a resting child should have in this market; None: it should not rest at all."""

_REPRICE_INTERVAL, _REPRICE_TICKS = Decimal(5), 1
_QUOTE_WITHIN = timedelta(seconds=5)
LOOK_EVERY = timedelta(minutes=5)


class RestingOrder(ParentOrder, ABC):
    """A parent whose children may rest and be moved."""

    took_back = False
    """Whether the child that ended last was wanted back; else its end was the venue's doing."""

    def is_wanted_back(self) -> bool:
        """True when the strategy wants a resting child off the venue."""
        return self.is_asked()

    async def rest(
        self,
        child: ChildState,
        until: datetime | None,
        price_now: PriceNow | None = None,
        look: Callable[[], Awaitable[None]] | None = None,
    ) -> ChildState:
        """Work a resting child, new or resumed, until it ends or must move.

        It is taken off the venue at `until`, when it is wanted back, when the order is cancelled,
        and when `price_now` has moved away from its price. `look` is called once in a while.
        Still resting in the answer: the run must end.
        """
        must_move = False

        def is_wanted_back() -> bool:
            return must_move or self.is_wanted_back()

        while True:
            look_at = None if price_now is None else workflow.now() + self.reprice_interval
            if look is not None:
                look_at = workflow.now() + LOOK_EVERY
            worked = await self.work_child(
                child, until, may_hand_over=True, look_at=look_at, until=is_wanted_back
            )
            if worked.is_off_venue or self.should_hand_over():
                is_late = until is not None and workflow.now() >= until
                self.took_back = is_wanted_back() or self.is_cancelled() or is_late
                return worked
            if price_now is not None and not must_move:
                market = await self.market_now()
                must_move = market is not None and self._has_moved(worked, price_now, market)
            if look is not None and not is_wanted_back():
                await look()
            child = self.live or worked  # with the reports that came meanwhile

    async def market_now(self) -> Market | None:
        """The market, or None when the venue cannot tell."""
        return await read_market(self.request, self.terms, _QUOTE_WITHIN)

    async def wait_for_start(self) -> None:
        """Wait until the order may begin; it is steered meanwhile. It may begin paused."""
        start_at = self.request.start_at
        while start_at is not None and workflow.now() < start_at and not self.is_cancelled():
            await wait_until(self.needs_attention, start_at - workflow.now(), "start_at")
            await self.steer()

    def _has_moved(self, child: ChildState, price_now: PriceNow, market: Market) -> bool:
        price, target = child.intent.price, price_now(market)
        if target is None or price is None:
            return True
        return abs(target - price) > times(market.instrument.tick, self.reprice_ticks - 1)

    @property
    def reprice_interval(self) -> timedelta:
        """Shortest time between two prices of a resting child."""
        return seconds(self.request.reprice_interval_s or _REPRICE_INTERVAL)

    @property
    def reprice_ticks(self) -> int:
        """How far the price must have moved, in ticks."""
        return self.request.reprice_ticks or _REPRICE_TICKS
