"""The life of an attempt after it was reserved: claimed once, answered, or closed for good.

Theory. READY -> SENDING is a compare-and-set inside the claim's transaction, which also re-reads
the kill switch and the account's readiness. The shared advisory lock makes a halt wait for the
claims in flight and every later claim see it: after the halt has committed no claim succeeds.
If the commit of a claim fails, nothing may be sent.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Row,
    Select,
    Text,
    Update,
    and_,
    any_,
    bindparam,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger.alarm_ends import OF_UNKNOWN_CHILD, ended
from activities.ledger.checks import Compensation, reduces
from activities.ledger.control_models import RiskOverride, TradingStateRow
from activities.ledger.models import (
    Attempt,
    ChildOrder,
    LedgerMeta,
    Reservation,
)
from activities.ledger.results import (
    MAY_BE_LIVE,
    AttemptState,
    AttemptTruth,
    ChildMayBeLiveError,
    ClaimCode,
    ClaimRefused,
    PositionKey,
    TradingState,
)
from activities.ledger.risk_facts import in_force
from activities.ledger.risk_locks import of_scopes
from activities.ledger.statements import (
    exposure_of,
    gate,
    in_one_trip,
    is_ready,
    lock_attempt,
    lock_child,
)
from activities.ledger.store_compensation import compensation_of
from activities.ledger.store_fills import report_of
from workflows.domain.lifecycle import ChildStatus
from workflows.domain.limits import scopes_of
from workflows.domain.orders import Side

_ON_THE_WIRE = (AttemptState.SENDING, AttemptState.UNKNOWN)


# --- claim --------------------------------------------------------------------------------------


def _claim() -> Select[Any]:
    """The compare-and-set with its gates, and the child's status, as one statement.

    No bind may be named like a column of the tables: SQLAlchemy would take it for a value.
    """
    overridden = exists().where(
        RiskOverride.code == TradingStateRow.code, of_scopes(RiskOverride.scope), *in_force()
    )
    blocked = exists().where(
        TradingStateRow.scope == any_(bindparam("scopes", type_=ARRAY(Text))),
        or_(
            TradingStateRow.state == TradingState.HALTED.value,
            and_(
                TradingStateRow.state != TradingState.ACTIVE.value,
                ~bindparam("may_reduce", type_=Boolean),
                ~overridden,
            ),
        ),
    )
    claimed = (
        update(Attempt)
        .where(
            Attempt.client_order_id == bindparam("child"),
            Attempt.attempt == bindparam("number"),
            Attempt.state == AttemptState.READY.value,
            ~blocked,
            is_ready(),
        )
        .values(
            state=AttemptState.SENDING.value,
            signed_at_ms=bindparam("signed"),
            claimed_at=func.clock_timestamp(),
        )
        .returning(Attempt.client_order_id)
        .cte("claimed")
    )
    sending = (
        update(ChildOrder)
        .where(ChildOrder.client_order_id == claimed.c.client_order_id)
        .values(status=ChildStatus.SENDING.value, updated_at=func.now())
        .cte("sending")
    )
    return select(claimed.c.client_order_id).add_cte(sending)


_CLAIM, _GATE = _claim(), gate()


async def claim(
    connection: AsyncConnection, client_order_id: str, attempt: int, signed_at_ms: int
) -> ClaimRefused | None:
    """See LedgerStore.claim."""
    child = await lock_attempt(connection, client_order_id, attempt, to_claim=True)
    if child is None:
        return ClaimRefused(code=ClaimCode.ATTEMPT_CLOSED, detail="state=absent")
    is_untouched = child.venue_order_id is None and child.status == ChildStatus.READY
    if child.attempt_state != AttemptState.READY or not is_untouched:
        detail = f"attempt={child.attempt_state} child={child.status}"
        return ClaimRefused(code=ClaimCode.ATTEMPT_CLOSED, detail=detail)
    key = PositionKey(child.strategy_id, child.account, child.exchange, child.symbol)
    names = {"child": client_order_id, "number": attempt, "signed": signed_at_ms}
    names |= {"of_exchange": child.exchange, "of_account": child.account}
    names |= {"scopes": key.scopes, "limit_scopes": scopes_of(*key)}
    if (await connection.execute(_CLAIM, {**names, "may_reduce": False})).first():
        return None
    everything = {**names, **key._asdict(), "client_order_id": client_order_id}
    facts = (await connection.execute(_GATE, everything)).one()
    refused = _refusal(facts, child, await _compensation(connection, child))
    if (
        refused is None
        and (await connection.execute(_CLAIM, {**names, "may_reduce": True})).first()
    ):
        return None
    return refused or ClaimRefused(code=ClaimCode.RECONCILING, detail="account=reconciling")


async def _compensation(connection: AsyncConnection, child: Row[Any]) -> Compensation | None:
    if child.compensates is None:
        return None
    return await compensation_of(connection, child.compensates, child.symbol, child.client_order_id)


def _refusal(
    facts: Row[Any], child: Row[Any], compensation: Compensation | None
) -> ClaimRefused | None:
    is_halted = facts.block_state == TradingState.HALTED
    if not facts.account_ready and not is_halted:
        # asked again later; what only reducing would refuse, an override may let pass then
        return ClaimRefused(code=ClaimCode.RECONCILING, detail=f"account={child.account}")
    if facts.block_state is not None:
        exposure, side = exposure_of(facts), Side(child.side)
        # what may only reduce was held to it when it was reserved
        may_pass = (
            child.reduce_only
            or reduces(exposure, side, child.quantity)
            or (compensation is not None and compensation.is_reduced_by(side, child.quantity))
        )
        if is_halted or not may_pass:
            code = ClaimCode[f"TRADING_{TradingState(facts.block_state).name}"]
            detail = f"scope={facts.block_scope} reason={facts.block_reason}"
            return ClaimRefused(code=code, detail=detail)
    return None


# --- answers ------------------------------------------------------------------------------------


def _set_attempt(
    client_order_id: str, attempt: int, state: AttemptState, code: str = "", reason: str = ""
) -> Update:
    return (
        update(Attempt)
        .where(Attempt.client_order_id == client_order_id, Attempt.attempt == attempt)
        .values(state=state.value, outcome_code=code, outcome_reason=reason)
    )


def _set_child(client_order_id: str, status: ChildStatus, reason: str = "") -> Update:
    return (
        update(ChildOrder)
        .where(ChildOrder.client_order_id == client_order_id)
        .values(status=status.value, reason=reason, updated_at=func.now())
    )


def _release(client_order_id: str) -> Update:
    return (
        update(Reservation)
        .where(Reservation.client_order_id == client_order_id)
        .values(state="released")
    )


def _is_untouched(child: Row[Any]) -> bool:
    """True while the venue has said nothing about the child and it has not ended."""
    return child.venue_order_id is None and not ChildStatus(child.status).is_final


async def record_rejection(
    connection: AsyncConnection, client_order_id: str, attempt: int, code: str, reason: str
) -> Row[Any] | None:
    """See LedgerStore.record_rejection; the child, unless the answer was known before."""
    child = await lock_attempt(connection, client_order_id, attempt)
    if child is None or child.attempt_state not in _ON_THE_WIRE:
        return None
    writes = [_set_attempt(client_order_id, attempt, AttemptState.REJECTED, code, reason)]
    if _is_untouched(child):
        text = f"{code}: {reason}" if reason else code
        writes += [
            _set_child(client_order_id, ChildStatus.REJECTED, text),
            _release(client_order_id),
        ]
    await connection.execute(in_one_trip(*writes, ended(OF_UNKNOWN_CHILD, client_order_id)))
    return child


async def record_unknown(
    connection: AsyncConnection, client_order_id: str, attempt: int, reason: str
) -> None:
    """See LedgerStore.record_unknown."""
    child = await lock_attempt(connection, client_order_id, attempt)
    if child is None or child.attempt_state != AttemptState.SENDING:
        return
    writes = [_set_attempt(client_order_id, attempt, AttemptState.UNKNOWN, reason=reason)]
    if _is_untouched(child):
        writes.append(_set_child(client_order_id, ChildStatus.UNKNOWN, reason))
    await connection.execute(in_one_trip(*writes))


# --- close --------------------------------------------------------------------------------------


async def close_attempt(
    connection: AsyncConnection, client_order_id: str, attempt: int
) -> AttemptTruth:
    """See LedgerStore.close_attempt."""
    child = await lock_attempt(connection, client_order_id, attempt)
    if child is None:
        epoch = (await connection.execute(select(LedgerMeta.epoch))).scalar_one()
        known = await lock_child(connection, client_order_id)
        report = await report_of(connection, known) if known is not None else None
        return AttemptTruth(known=False, epoch=epoch, report=report)
    state = AttemptState(child.attempt_state)
    if state is AttemptState.READY:
        writes = [_set_attempt(client_order_id, attempt, AttemptState.CLOSED)]
        if child.status == ChildStatus.READY:
            writes.append(_set_child(client_order_id, ChildStatus.NEW, "never sent"))
        await connection.execute(in_one_trip(*writes))
    elif state is AttemptState.SENDING:
        writes = [_set_attempt(client_order_id, attempt, AttemptState.UNKNOWN, reason="no answer")]
        if child.status == ChildStatus.SENDING:
            writes.append(_set_child(client_order_id, ChildStatus.UNKNOWN, "no answer"))
        await connection.execute(in_one_trip(*writes))
    report = await report_of(connection, child)
    if report is not None or state is AttemptState.REJECTED:
        await connection.execute(ended(OF_UNKNOWN_CHILD, client_order_id))
    return AttemptTruth(
        known=True,
        epoch=child.epoch,
        state=state,
        signed_at_ms=child.signed_at_ms,
        venue_order_id=child.venue_order_id,
        report=report,
        outcome_code=child.outcome_code,
        outcome_reason=child.outcome_reason,
    )


async def prove_absent(connection: AsyncConnection, client_order_id: str, attempt: int) -> None:
    """See LedgerStore.prove_absent."""
    child = await lock_attempt(connection, client_order_id, attempt)
    if child is None or child.attempt_state not in (AttemptState.READY, *_ON_THE_WIRE):
        return
    writes = [_set_attempt(client_order_id, attempt, AttemptState.CLOSED, "PROVEN_ABSENT")]
    if _is_untouched(child):
        writes.append(_set_child(client_order_id, ChildStatus.NEW, "proven absent"))
    await connection.execute(in_one_trip(*writes, ended(OF_UNKNOWN_CHILD, client_order_id)))


async def give_up(connection: AsyncConnection, client_order_id: str, reason: str) -> None:
    """See LedgerStore.give_up."""
    child = await lock_child(connection, client_order_id)
    if child is None or ChildStatus(child.status).is_final:
        return
    live = select(Attempt.attempt, Attempt.state).where(
        Attempt.client_order_id == client_order_id, Attempt.state.in_(MAY_BE_LIVE)
    )
    found = (await connection.execute(live)).first()
    if found is not None:
        raise ChildMayBeLiveError(
            f"child {client_order_id}: attempt {found.attempt} is {found.state}, not given up",
            attempt=found.attempt,
        )
    ready = (
        update(Attempt)
        .where(
            Attempt.client_order_id == client_order_id,
            Attempt.state == AttemptState.READY.value,
        )
        .values(state=AttemptState.CLOSED.value)
    )
    await connection.execute(
        in_one_trip(
            ready,
            _set_child(client_order_id, ChildStatus.NOT_SENT, reason),
            _release(client_order_id),
        )
    )
