"""Steering a running order: pause, resume, amend; checked, recorded, then done at a safe point.

Theory of operation. An update only puts an `_Ask` into a queue and waits. The strategy takes the
queue up where no child of it is live (`steer`): there the executed quantity is confirmed, so what
is decided on it holds. Each action is recorded in the ledger, with who and when, before it takes
effect; an amendment is checked against the limits in the same transaction. Validators refuse what
can be known to be wrong at once, so that it never enters the history.
"""

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from temporalio import workflow
from temporalio.common import RawValue

from workflows import names, ports
from workflows.acceptance import Market, read_market
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.exact import minus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.risk import check_filters
from workflows.fields import plain
from workflows.messages import OrderRequest, OrderSnapshot
from workflows.order_state import Amendment
from workflows.order_times import too_far
from workflows.refusals import data_of, raise_if, refused
from workflows.resolving import ResolvableOrder
from workflows.steering_messages import (
    MAX_ACTIONS_SHOWN,
    ActionKind,
    ActionView,
    AmendRequest,
    SteerRequest,
    parse_amend,
    parse_steer,
)
from workflows.waiting import wait_until

_MARKET_WITHIN = timedelta(seconds=5)
ENGINE = "engine"
"""Who steers when nobody asked: the kill switch."""
_MAX_REASON = 200
_NOT_PAUSED = Denied(code=DenialCode.NOT_PAUSED, detail="the order is not paused")


@dataclass(slots=True, kw_only=True)
class _Ask:
    """One update that waits for its turn."""

    kind: ActionKind
    request: SteerRequest | AmendRequest
    denied: Denied | None = None
    is_taken: bool = False
    is_done: bool = False


class SteeredOrder(ResolvableOrder, ABC):
    """An order that can be paused, resumed and amended while it runs."""

    AMENDABLE: ClassVar[tuple[str, ...]] = ()
    """Fields of an amendment that the strategy can follow; empty: it cannot be steered."""

    def __init__(self, raw: RawValue | None) -> None:
        super().__init__(raw)
        self._asks: list[_Ask] = []

    # --- for strategies -------------------------------------------------------------------------

    def is_asked(self) -> bool:
        """True when an update waits: the strategy takes its child back and calls `steer`."""
        return bool(self._asks) and self.is_steerable

    def needs_attention(self) -> bool:
        """True when a pause must end: a cancel, or an update that waits."""
        return self.is_cancelled() or self.is_asked()

    def should_hand_over(self) -> bool:
        """Not with an update that waits: the next run would know nothing of it."""
        return not self._asks and super().should_hand_over()

    @property
    def is_paused(self) -> bool:
        """True between a pause and its resume."""
        return self.state.paused_since is not None

    def check_amendment(self, request: OrderRequest, amend: AmendRequest) -> Denied | None:
        """Why the strategy cannot become `request`. Must not change anything."""
        del request, amend
        return None

    async def amended(self, amend: AmendRequest) -> None:
        """Follow an amendment that has just taken effect in `self.request`."""

    async def resumed(self, since: datetime) -> None:
        """Follow the end of a pause that began at `since`."""

    def suspend(self, why: str) -> None:
        """Pause it in a human's place: it goes on when somebody asks for `resume`."""
        told = "".join(char if char.isprintable() else " " for char in why[:_MAX_REASON])
        request = SteerRequest(requested_by=ENGINE, reason=told)
        self._asks.append(_Ask(kind=ActionKind.PAUSE, request=request))

    async def steer(self) -> None:
        """Let what was asked take effect. Only while no child is live."""
        while self._asks and not self.is_cancelled():
            ask = self._asks.pop(0)
            ask.is_taken = True
            ask.denied = await self._apply(ask)
            ask.is_done = True

    async def hold(self, ends_at: Callable[[], datetime | None] = lambda: None) -> None:
        """Steer, and stay here while the order is paused.

        Not longer than until `ends_at`, which an amendment may move meanwhile; not when it is
        cancelled, nor when the run must end.
        """
        await self.steer()
        while self.is_paused and not self.is_cancelled() and not self.should_hand_over():
            until = ends_at()
            if until is None:
                await workflow.wait_condition(self.needs_attention)
            elif not await wait_until(self.needs_attention, until - workflow.now(), "paused"):
                return
            await self.steer()

    # --- one action -----------------------------------------------------------------------------

    async def _apply(self, ask: _Ask) -> Denied | None:
        denied = self._refusal(ask.kind, ask.request)
        if denied is not None:
            return denied
        if ask.kind is ActionKind.AMEND:
            assert isinstance(ask.request, AmendRequest)
            return await self._amend(ask.request)
        is_pause, since = ask.kind is ActionKind.PAUSE, self.state.paused_since
        if is_pause and since is not None:
            return None
        if not is_pause and since is None:
            return _NOT_PAUSED
        if not is_pause and workflow.patched("resume-asks-switch"):
            denied = await self._stopped()
            if denied is not None:  # it would be paused again by its first child
                return denied
        await self._record(ask.kind, ask.request, "")
        if is_pause:
            self._change(paused_since=workflow.now())
            self.become_live(OrderStatus.PAUSED, ask.request.reason or "paused")
        else:
            self._change(paused_since=None)
            assert since is not None
            self.become_live(OrderStatus.WORKING)
            await self.resumed(since)
        workflow.upsert_search_attributes([names.ORDER_STATUS.value_set(self.state.status)])
        return None

    async def _stopped(self) -> Denied | None:
        """Why nothing at all may be sent now; what may still reduce a position goes on."""
        request = self.request
        switch = await ports.read_switch(
            ports.ReadSwitch(
                strategy_id=request.strategy_id,
                account=request.account,
                venue=request.exchange,
                symbol=request.symbol,
                side=request.side,
                reduce_only=bool(request.reduce_only),
            )
        )
        return switch.denied

    async def _amend(self, amend: AmendRequest) -> Denied | None:
        wanted = self._with(amend)
        denied = self._judge(amend, wanted)
        market = None if denied else await read_market(self.request, self.terms, _MARKET_WITHIN)
        if denied is None:
            denied = self._fits(wanted, market)
        if denied is not None or market is None:
            return denied
        known = self.request
        detail = ", ".join(
            f"{name} {_text(getattr(known, name))} -> {_text(value)}"
            for name, value in amend.changes.items()
        )
        denied = await self._record(
            ActionKind.AMEND, amend, detail, wanted, reference_price=market.quote.mid
        )
        if denied is not None:
            return denied
        amendment = self.state.amended or Amendment()
        self._change(amended=replace(amendment, **amend.changes))  # type: ignore[arg-type]  # the names are checked
        await self.amended(amend)
        self._show()
        return None

    def _fits(self, wanted: OrderRequest, market: Market | None) -> Denied | None:
        """The venue must be able to take what is left as it will be."""
        if market is None:
            return Denied(code=DenialCode.UNAVAILABLE, detail="the venue's rules cannot be read")
        instrument, reference = market.instrument, market.quote.mid
        whole = check_filters(instrument, wanted.quantity, wanted.price, reference)
        left = minus(wanted.quantity, self.totals.executed)
        if whole is not None or not left:
            return whole
        return check_filters(instrument, left, wanted.price, reference)

    async def _record(
        self,
        kind: ActionKind,
        asked: SteerRequest | AmendRequest,
        detail: str,
        wanted: OrderRequest | None = None,
        reference_price: Decimal | None = None,
    ) -> Denied | None:
        """In the ledger first, then in the state, where people see it."""
        index, at = self.state.actions_total, workflow.now()
        recorded = await ports.record_action(
            ports.RecordAction(
                order_id=self.order_id,
                index=index,
                kind=kind,
                by=asked.requested_by,
                reason=asked.reason,
                detail=detail,
                request=wanted,
                reference_price=reference_price,
            )
        )
        action = ActionView(
            index=index + self.state.verdicts_total,
            kind=kind,
            at=recorded.at or at.isoformat(),
            requested_by=asked.requested_by,
            reason=asked.reason,
            detail=detail if recorded.denied is None else f"{detail} ({recorded.denied.code})",
        )
        self._change(
            actions=(*self.state.actions, action)[-MAX_ACTIONS_SHOWN:], actions_total=index + 1
        )
        return recorded.denied

    def _with(self, amend: AmendRequest) -> OrderRequest:
        amendment = replace(self.state.amended or Amendment(), **amend.changes)  # type: ignore[arg-type]  # as above
        wanted = replace(self.state, amended=amendment).wanted
        assert wanted is not None, "a running order has its request"
        return wanted

    # --- what can be known to be wrong at once --------------------------------------------------

    def _refusal(
        self, kind: ActionKind, request: SteerRequest | AmendRequest | Denied
    ) -> Denied | None:
        if isinstance(request, Denied):
            return request
        status = self.state.status
        if status.is_terminal:
            return Denied(code=DenialCode.ALREADY_TERMINAL, detail=f"the order is {status}")
        if status is OrderStatus.PENDING:
            return None  # it is judged when the order is accepted
        if self.is_cancelled():
            return Denied(code=DenialCode.NOT_STEERABLE, detail="the order is being cancelled")
        if not self.is_steerable:
            kind_of = self.request.order_type
            return Denied(
                code=DenialCode.NOT_STEERABLE,
                detail=f"a {kind_of} order {self.request.time_in_force} ends at once",
            )
        if kind is ActionKind.RESUME and not self.is_paused and not self.is_asked():
            return _NOT_PAUSED
        if isinstance(request, AmendRequest):
            return self._judge(request, self._with(request))
        return None

    @property
    def is_steerable(self) -> bool:
        """True for orders that live long enough to be steered."""
        return bool(self.AMENDABLE)

    def _judge(self, amend: AmendRequest, wanted: OrderRequest) -> Denied | None:
        for name in amend.changes:
            if name not in self.AMENDABLE:
                return Denied(
                    code=DenialCode.FIELD_NOT_ALLOWED,
                    field=name,
                    detail=f"{name} of a {wanted.order_type} order cannot be amended",
                )
        executed = self.totals.executed
        if wanted.quantity < executed:
            return Denied(
                code=DenialCode.AMEND_BELOW_FILLED,
                field="quantity",
                detail=f"quantity={plain(wanted.quantity)} filled={plain(executed)}",
            )
        begins = max(workflow.now(), wanted.start_at or workflow.now())
        if amend.end_at is not None and amend.end_at <= begins:
            return Denied(
                code=DenialCode.END_BEFORE_START,
                field="end_at",
                detail=f"end_at={amend.end_at.isoformat()} begins={begins.isoformat()}",
            )
        return self.check_amendment(wanted, amend)

    # --- handlers -------------------------------------------------------------------------------

    @workflow.update(name=names.PAUSE, description="pause; answers when nothing works any more")
    async def pause(self, request: RawValue | None = None) -> OrderSnapshot:
        """Stop sending, take a resting child back, and wait for `resume`."""
        return await self._ask(ActionKind.PAUSE, parse_steer(data_of(request)))

    @pause.validator
    def check_pause(self, request: RawValue | None = None) -> None:
        """Refuse a pause that cannot be."""
        raise_if(self._refusal(ActionKind.PAUSE, parse_steer(data_of(request))))

    @workflow.update(name=names.RESUME, description="go on after a pause")
    async def resume(self, request: RawValue | None = None) -> OrderSnapshot:
        """Go on as the order's terms say."""
        return await self._ask(ActionKind.RESUME, parse_steer(data_of(request)))

    @resume.validator
    def check_resume(self, request: RawValue | None = None) -> None:
        """Refuse a resume of what is not paused."""
        raise_if(self._refusal(ActionKind.RESUME, parse_steer(data_of(request))))

    @workflow.update(name=names.AMEND, description="change price, quantity, end or rate")
    async def amend(self, request: RawValue | None = None) -> OrderSnapshot:
        """Change the order; answers when the change is in effect."""
        # a replayed one may come from before its validator judged times
        amend = parse_amend(data_of(request), with_old_times=True)
        return await self._ask(ActionKind.AMEND, amend)

    @amend.validator
    def check_amend(self, request: RawValue | None = None) -> None:
        """Refuse a change that cannot be."""
        amend = parse_amend(data_of(request))
        raise_if(self._refusal(ActionKind.AMEND, amend))
        if isinstance(amend, AmendRequest):
            raise_if(too_far(workflow.now(), end_at=amend.end_at))

    def _is_deaf(self) -> bool:
        """True when no update is listened to: it is over, cancelled, or was never steerable."""
        status = self.state.status
        if status.is_terminal or self.is_cancelled():
            return True
        return status is not OrderStatus.PENDING and not self.is_steerable

    async def _ask(
        self, kind: ActionKind, request: SteerRequest | AmendRequest | Denied
    ) -> OrderSnapshot:
        if isinstance(request, Denied):  # a replayed update has passed no validator
            raise refused(request)
        ask = _Ask(kind=kind, request=request)
        self._asks.append(ask)
        await workflow.wait_condition(lambda: ask.is_done or (self._is_deaf() and not ask.is_taken))
        if ask in self._asks:
            self._asks.remove(ask)
        if not ask.is_done:
            status = self.state.status
            is_over = status.is_terminal
            code = DenialCode.ALREADY_TERMINAL if is_over else DenialCode.NOT_STEERABLE
            raise refused(Denied(code=code, detail=f"the order is {status} now"))
        if ask.denied is not None:
            raise refused(ask.denied)
        return self.snapshot()


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
