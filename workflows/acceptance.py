"""Acceptance: from the raw input to an accepted, denied or already finished order.

Everything here comes before the first reservation and has a time limit: an order that could not
be accepted within the accept timeout ends denied, so that it never trades late.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, FailureError

from workflows import ports
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.instruments import Instrument, Quote
from workflows.domain.orders import OrderType, TimeInForce
from workflows.domain.risk import check_filters
from workflows.durations import seconds
from workflows.messages import OrderRequest, OrderSnapshot, parse_order
from workflows.order_times import missed_start, too_far
from workflows.refusals import refused_id

Plan = Callable[[OrderRequest, ports.EngineTerms, Instrument, Decimal], Denied | None]
"""A strategy's own check and preparation: (request, terms, instrument, reference price)."""

First = Callable[[OrderRequest, ports.EngineTerms, "Market"], ports.Reserve | None]
"""A strategy's first child, if it is sent at once: reserved together with the acceptance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What acceptance came to.

    Accepted: `market` is set, and `reserved` when a first child was reserved with it. Denied:
    `denied`, and `is_registered` when the ledger holds the order under this id. Finished before:
    `stored`.
    """

    request: OrderRequest | None = None
    terms: ports.EngineTerms | None = None
    market: "Market | None" = None
    stored: OrderSnapshot | None = None
    reserved: ports.Reserved | None = None
    denied: Denied | None = None
    is_registered: bool = False


def _parse_input(raw: RawValue | None, order_types: tuple[OrderType, ...]) -> OrderRequest | Denied:
    """The workflow's input as an order of this type; the id in it must be the workflow's."""
    info = workflow.info()
    if raw is None:
        return Denied(code=DenialCode.INVALID_INPUT, detail="the order is missing")
    if info.cron_schedule or info.retry_policy is not None:
        return Denied(
            code=DenialCode.INVALID_INPUT,
            detail="an order takes no cron schedule and no retry policy: it would trade again",
        )
    parsed = parse_order(raw.payload.data, order_types=order_types)
    if isinstance(parsed, Denied) and parsed.code is DenialCode.INVALID_TIME and _takes_old_times():
        parsed = parse_order(raw.payload.data, order_types=order_types, with_old_times=True)
    if isinstance(parsed, Denied):
        return parsed
    if parsed.order_id is None:
        return refused_id("order_id") or parsed
    if parsed.order_id == info.workflow_id:
        return parsed
    return Denied(
        code=DenialCode.FIELD_NOT_ALLOWED,
        field="order_id",
        detail="order_id must equal the workflow id",
    )


def ended_already(request: OrderRequest, now: datetime) -> Denied | None:
    """An order whose end is over when it comes."""
    if request.end_at is None or request.end_at > now:
        return None
    return Denied(
        code=DenialCode.END_BEFORE_START,
        field="end_at",
        detail=f"end_at={request.end_at.isoformat()} is over",
    )


def unfit_times(request: OrderRequest, now: datetime) -> Denied | None:
    """Why the times of an order that comes `now` cannot be followed."""
    return too_far(now, start_at=request.start_at, end_at=request.end_at) or missed_start(
        now, request.start_at
    )


def _takes_old_times() -> bool:
    """True in a run that began before times were judged: it goes on as it did."""
    return not workflow.patched("judged-times")


async def admit(
    raw: RawValue | None,
    order_types: tuple[OrderType, ...],
    created_at: datetime,
    plan: Plan,
    first: First,
) -> Admission:
    """Validate, register under the id, then check market, plan and ledger, in this order."""
    request = _parse_input(raw, order_types)
    if isinstance(request, Denied):
        return Admission(denied=request)
    info = workflow.info()
    late = ended_already(request, info.start_time)
    if late is None:
        unfit = unfit_times(request, info.start_time)
        late = None if unfit is None or _takes_old_times() else unfit
    if late is not None:
        return Admission(request=request, denied=late)
    opened = await ports.open_order(
        ports.OpenOrder(
            order_id=info.workflow_id, run_chain=info.first_execution_run_id, request=request
        )
    )
    if opened.kind is not ports.OpenKind.NEW:
        return Admission(
            request=request, terms=opened.terms, stored=opened.stored, denied=opened.denied
        )
    accept_by = created_at + seconds(opened.terms.accept_timeout_s)
    told = opened.market or await _ask_market(request, accept_by - workflow.now())
    denied = _judge(request, opened.terms, told, plan)
    market = _usable(told) if told else None
    reserved: ports.Reserved | None = None
    if denied is None and market is not None and workflow.now() < accept_by:
        verdict = await ports.accept_order(
            ports.AcceptOrder(
                order_id=info.workflow_id,
                request=request,
                reference_price=market.quote.mid,
                first=first(request, opened.terms, market),
            )
        )
        denied, reserved = verdict.denied, verdict.reserved
    if denied is None and (market is None or workflow.now() >= accept_by):
        denied = _late(opened.terms)
    return Admission(
        request=request,
        terms=opened.terms,
        market=market,
        reserved=reserved,
        denied=denied,
        is_registered=True,
    )


def _judge(
    request: OrderRequest,
    terms: ports.EngineTerms,
    market: ports.MarketSnapshot | None,
    plan: Plan,
) -> Denied | None:
    if market is None:
        return _late(terms)
    if market.instrument is None:
        return Denied(
            code=DenialCode.UNKNOWN_SYMBOL, field="symbol", detail=f"exchange={request.exchange}"
        )
    if market.quote is None:
        return Denied(code=DenialCode.RISK_STALE_REF, detail="reference=absent")
    reference = market.quote.mid
    return check_filters(market.instrument, request.quantity, request.price, reference) or plan(
        request, terms, market.instrument, reference
    )


def _late(terms: ports.EngineTerms) -> Denied:
    return Denied(
        code=DenialCode.NOT_ACCEPTED_IN_TIME,
        detail=f"accept_timeout_s={terms.accept_timeout_s:f}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A market that can be traded in: usable rules and a touch, read at `read_at`."""

    instrument: Instrument
    quote: Quote
    read_at: datetime


async def read_market(
    request: OrderRequest, terms: ports.EngineTerms, within: timedelta
) -> Market | None:
    """The market now, or None when the venue could not tell within the time.

    A glance first, then patience: the venue answers at once nearly always.
    """
    give_up_at = workflow.now() + within
    if terms.glances and within > timedelta(0):
        with suppress(FailureError):
            return _usable(await ports.glance_at_market(_market_of(request)))
    told = await _ask_market(request, give_up_at - workflow.now())
    return None if told is None else _usable(told)


def _usable(told: ports.MarketSnapshot) -> Market | None:
    """Rules that would divide by zero count as no market: what a venue says is never trusted."""
    instrument, quote = told.instrument, told.quote
    if instrument is None or quote is None or not instrument.has_valid_rules:
        return None
    return Market(instrument=instrument, quote=quote, read_at=workflow.now())


async def _ask_market(request: OrderRequest, within: timedelta) -> ports.MarketSnapshot | None:
    if within <= timedelta(0):
        return None
    try:
        return await ports.read_market(_market_of(request), within=within)
    except ActivityError:
        return None


def _market_of(request: OrderRequest) -> ports.MarketRequest:
    return ports.MarketRequest(
        venue=request.exchange, account=request.account, symbol=request.symbol
    )


def deadline_of(
    request: OrderRequest, terms: ports.EngineTerms, created_at: datetime
) -> datetime | None:
    """When to give up: as asked, else the default for orders meant to finish at once."""
    if request.end_at is not None and request.order_type is not OrderType.TWAP:
        return request.end_at  # a twap's end is in its schedule
    timeout_s = request.timeout_s
    is_immediate = (
        request.order_type is OrderType.MARKET or request.time_in_force is not TimeInForce.GTC
    )
    if timeout_s is None and is_immediate:
        timeout_s = terms.order_timeout_s
    begins = max(created_at, request.start_at or created_at)
    return None if timeout_s is None else begins + seconds(timeout_s)


def is_same_order(
    raw: RawValue, order_types: tuple[OrderType, ...], running: OrderRequest | None
) -> bool:
    """True when the raw body asks for the order that runs under this id.

    An order that was denied for its body has no request: then only its own body can have come.
    """
    asked = parse_order(raw.payload.data, order_types=order_types)
    if running is None:
        return isinstance(asked, Denied)
    return isinstance(asked, OrderRequest) and asked.body_hash() == running.body_hash()
