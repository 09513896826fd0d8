"""The demo's controls: a limit, a halt with an order at work, an order of nobody's, the books.

Rule: all of it is asked for as an operator asks, by the calls behind the command line and the HTTP
API. Nothing is staged but what the screen says: an order far from the market that the halt finds,
and one that is placed at the exchange by hand.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from activities.ledger.results import EXTERNAL, TradingState
from activities.ledger.view_audit import AuditViews
from activities.ledger.view_position_models import PositionView
from activities.ledger.view_positions import PositionViews
from starters.alarms import list_alarms
from starters.client import EffectPending
from starters.connections import Connections
from starters.decisions import LimitRequest
from starters.demo_control_result import Books, ControlsOutcome, HaltOutcome
from starters.demo_orders import STRATEGY, SYMBOL, VENUE, Desk, ended, within
from starters.demo_refusal import buy_by_hand
from starters.demo_result import DemoFailed
from starters.demo_show import amount, price
from starters.demo_show_controls import compared, halted
from starters.risk import set_limit
from starters.sync import sync_positions
from starters.trading_state import SwitchAnswer, SwitchRequest, change
from workers.settings import Settings
from workflows.domain.denials import Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.limits import LimitName, strategy_scope
from workflows.domain.orders import OrderType, Side
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.steering_messages import AmendRequest, SteerRequest
from workflows.sync_messages import SyncReport

AnswerT = TypeVar("AnswerT")

WHO, HALTED = "demo", "demo-halted"
"""Who decides, for the audit trail; and the strategy that is halted."""
LIMIT, ABOVE = Decimal(2_000), Decimal(5_000)
"""Of one order, and what is tried, in quote currency."""
HALTED_VALUE, HAND_VALUE = Decimal(1_000), Decimal(500)
_FAR_BELOW, _THROUGH = Decimal("0.995"), Decimal("1.001")
SWEPT_WITHIN_S = Decimal(30)
WITHIN_S = 30.0
_POLL_S = 0.2
_SHOWN_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlDesk:
    """Where the demo decides as an operator. `control_url`: of VENUE's port for faults."""

    desk: Desk
    connections: Connections
    settings: Settings
    control_url: str

    async def show(self) -> None:
        """All of it, into the result."""
        limited = await self.limit()
        halt = await self.halt()
        by_hand = await self.by_hand()
        syncs = await self.sync()
        self.desk.result.controls = ControlsOutcome(
            limited=limited, halt=halt, by_hand=by_hand, syncs=syncs, books=await self.books()
        )

    async def limit(self) -> OrderSnapshot:
        """Limit the value of an order, try a larger one, and unset the limit."""
        screen, scope = self.desk.screen, strategy_scope(STRATEGY)
        what = f"{LimitName.MAX_ORDER_VALUE} of {scope} is set to {price(LIMIT)} USDT"
        screen.heading("9  limit", what)
        await self._limited(scope, LIMIT)
        tried = await self._try("demo-too-large", STRATEGY, ABOVE)
        await self._limited(scope, None)
        screen.line("the limit is unset again", "dim")
        return tried

    async def halt(self) -> HaltOutcome:
        """Halt a strategy with an order at work; go on with it once that is over."""
        screen, scope = self.desk.screen, strategy_scope(HALTED)
        screen.heading("10  halt", f"{scope}, while an order of it rests at {VENUE}")
        placed = await self._at_rest()
        since = datetime.now(UTC)
        answer = await self._switched(scope, TradingState.HALTED, "a drill")
        took_s = (datetime.now(UTC) - since).total_seconds()
        blocked_s = (answer.set_at - since).total_seconds()
        screen.line(halted(answer, blocked_s, took_s), "bold yellow")
        refused = await self._try("demo-during-halt", HALTED, HALTED_VALUE)
        paused = await self._until(placed, "pausing", lambda now: now.status is OrderStatus.PAUSED)
        screen.line(f"the order waits: {paused.status} ({paused.reason or 'halted'})")
        await self._switched(scope, TradingState.ACTIVE, "the drill is over")
        done = await self._gone_on(placed)
        return HaltOutcome(
            answer=answer,
            blocked_s=blocked_s,
            took_s=took_s,
            refused=refused,
            paused=paused,
            done=done,
        )

    async def by_hand(self) -> Decimal:
        """Somebody buys at the exchange itself; what is booked of it."""
        desk, screen = self.desk, self.desk.screen
        quantity = desk.rules.quantity_worth(HAND_VALUE, (await desk.market.quote()).mid)
        what = f"somebody buys {amount(quantity)} {SYMBOL} at {VENUE} itself, past the engine"
        screen.heading("11  by hand", what)
        await buy_by_hand(self.control_url, SYMBOL, quantity)
        held = await self._held("booking the order made by hand", _has_external)
        (found,) = filter(_is_external, held)
        screen.line(
            f"the account feed has booked it: {EXTERNAL} holds {amount(found.quantity)} "
            "after the fee"
        )
        return quantity

    async def sync(self) -> list[SyncReport]:
        """Compare both exchanges with the ledger."""
        screen = self.desk.screen
        screen.heading("12  sync", "trades, open orders, balances: exchange against ledger")
        names = self.settings.exchanges
        reports = await asyncio.gather(*(self._agreed(name) for name in names))
        for report in reports:
            for line in compared(report):
                screen.line(line, "green" if report.agrees else "red")
        page = await list_alarms(self.connections)
        codes = sorted({each.code for each in page.alarms})
        screen.line(f"alarms that wait for a human: {', '.join(codes) or 'none'}", "yellow")
        return list(reports)

    async def books(self) -> Books:
        """Positions with their PnL, and what the demo decided, from the audit trail."""
        positions = await self._held("reading the marks of all positions", _are_marked)
        async with self.connections.reading(AuditViews) as views:
            return Books(
                positions=positions,
                audit=[each for each in await views.newest(_SHOWN_ROWS) if each.who == WHO],
                broken_at=await views.broken_at(),
            )

    # --- steps ----------------------------------------------------------------------------------

    async def _limited(self, scope: str, value: Decimal | None) -> None:
        asked = LimitRequest(
            scope=scope,
            name=LimitName.MAX_ORDER_VALUE,
            value=value,
            requested_by=WHO,
            reason="a drill" if value is not None else "the drill is over",
        )
        _agreed_to(await set_limit(self.connections, self.settings, asked))

    async def _try(self, order_id: str, strategy_id: str, value: Decimal) -> OrderSnapshot:
        """A market order that is meant to be denied; it is told what became of it."""
        desk = self.desk
        quantity = desk.rules.quantity_worth(value, (await desk.market.quote()).mid)
        request = OrderRequest(
            order_id=order_id,
            strategy_id=strategy_id,
            exchange=VENUE,
            symbol=SYMBOL,
            side=Side.BUY,
            order_type=OrderType.MARKET,
            quantity=quantity,
        )
        told = await desk.client.submit(request)
        why = f"{told.code} {told.reason}" if told.code else told.reason
        what = f"a market order of {strategy_id} for {amount(quantity)} {SYMBOL}"
        text = f"{what} is {told.status}: {why}"
        desk.screen.line(text, "green" if told.status is OrderStatus.DENIED else "red")
        return told

    async def _at_rest(self) -> OrderSnapshot:
        desk = self.desk
        quote = await desk.market.quote()
        quantity = desk.rules.quantity_worth(HALTED_VALUE, quote.mid)
        at = self._on_tick(quote.bid * _FAR_BELOW)
        placed = await desk.place(
            "demo-halted", OrderType.LIMIT, quantity, strategy_id=HALTED, price=at
        )
        await self._until(placed, "resting", _rests)
        desk.screen.line(f"buy {amount(quantity)} at {price(at)} rests at {VENUE}")
        return placed

    async def _gone_on(self, placed: OrderSnapshot) -> OrderSnapshot:
        """Resume the order, and amend it so that the market takes it."""
        desk = self.desk
        steer = SteerRequest(requested_by=WHO, reason="the drill is over")
        try:
            await desk.client.resume(placed.order_id, steer)
        except EffectPending:
            desk.screen.line("the resume is accepted", "dim")
        await self._until(placed, "resuming", _rests)
        desk.screen.line("halt lifted, order resumed: it rests at the exchange again")
        at = self._on_tick((await desk.market.quote()).ask * _THROUGH)
        try:
            await desk.client.amend(placed.order_id, AmendRequest(price=at, requested_by=WHO))
        except EffectPending:
            desk.screen.line("the new price is accepted", "dim")
        async with within(WITHIN_S, "the amended order"):
            done = await desk.client.result(placed.order_id)
        style = "green" if done.status is OrderStatus.FILLED else "red"
        desk.screen.line(f"amended to buy up to {price(at)}: {ended(done)}", style)
        return done

    async def _switched(self, scope: str, state: TradingState, reason: str) -> SwitchAnswer:
        asked = SwitchRequest(state=state, scope=scope, reason=reason, requested_by=WHO)
        with self.desk.screen.waiting("setting the kill switch, and hearing the exchange"):
            answer = await change(self.connections, self.settings, asked, within_s=SWEPT_WITHIN_S)
        return _agreed_to(answer)

    async def _until(
        self, placed: OrderSnapshot, what: str, is_so: Callable[[OrderSnapshot], bool]
    ) -> OrderSnapshot:
        """The order as soon as it is so. Raises DemoFailed where that does not come."""
        now = placed
        async with within(WITHIN_S, f"{what} of order {placed.order_id}"):
            async for now in self.desk.client.watch(placed.order_id, poll_interval_s=_POLL_S):
                if is_so(now):
                    return now
        raise DemoFailed(f"order {placed.order_id} ended before {what}: {ended(now)}")

    async def _held(
        self, what: str, is_so: Callable[[list[PositionView]], bool]
    ) -> list[PositionView]:
        """All positions as soon as it is so. Raises DemoFailed where that does not come."""
        async with within(WITHIN_S, what):
            while True:
                async with self.connections.reading(PositionViews) as views:
                    found = await views.positions()
                if is_so(found):
                    return found
                await asyncio.sleep(_POLL_S)

    async def _agreed(self, exchange: str) -> SyncReport:
        """A comparison in which nothing moved; the last one where none agrees in time."""
        until = time.monotonic() + WITHIN_S
        while True:
            asked = sync_positions(self.connections, exchange, requested_by=WHO)
            report = _agreed_to(await asked)
            if report.agrees or time.monotonic() > until:
                return report
            await asyncio.sleep(1)

    def _on_tick(self, at: Decimal) -> Decimal:
        tick = self.desk.rules.tick
        return (at / tick).to_integral_value() * tick


def _rests(order: OrderSnapshot) -> bool:
    return any(each.venue_order_id and not each.status.is_final for each in order.children)


def _is_external(position: PositionView) -> bool:
    return position.strategy_id == EXTERNAL


def _has_external(positions: list[PositionView]) -> bool:
    return any(map(_is_external, positions))


def _are_marked(positions: list[PositionView]) -> bool:
    return all(each.total is not None for each in positions)


def _agreed_to(answer: AnswerT | Denied) -> AnswerT:
    """The answer. Raises DemoFailed for a denial."""
    if isinstance(answer, Denied):
        raise DemoFailed(f"an operator was denied: {answer.code} {answer.detail}")
    return answer
