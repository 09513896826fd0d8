"""Attempts: claimed once, never after a halt or a close, and never lost."""

import asyncio
from decimal import Decimal

import asyncpg
import pytest

from activities.ledger.results import (
    AttemptState,
    ChildMayBeLiveError,
    ClaimCode,
    TradingState,
)
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    SIGNED_AT_MS,
    World,
    a_fill,
    a_report,
    an_intent,
)
from workflows.domain.orders import ChildIntent, Side
from workflows.domain.reports import VenueStatus


async def claim(ledger: World, intent: ChildIntent, attempt: int = 1) -> ClaimCode | None:
    refused = await ledger.store.claim(intent.client_order_id, attempt, SIGNED_AT_MS)
    return None if refused is None else refused.code


async def test_an_attempt_is_claimed_once(ledger: World) -> None:
    intent = await ledger.reserved()
    claims = await asyncio.gather(*(claim(ledger, intent) for _ in range(8)))
    assert claims.count(None) == 1
    assert set(claims) == {None, ClaimCode.ATTEMPT_CLOSED}
    assert await ledger.child_status(intent) == "sending"


async def test_a_claim_without_a_reservation_is_refused(ledger: World) -> None:
    assert await claim(ledger, an_intent()) is ClaimCode.ATTEMPT_CLOSED


async def test_a_claim_after_a_close_fails(ledger: World) -> None:
    intent = await ledger.reserved()
    truth = await ledger.store.close_attempt(intent.client_order_id, 1)
    assert truth.never_claimed
    assert await claim(ledger, intent) is ClaimCode.ATTEMPT_CLOSED


@pytest.mark.parametrize("claim_first", [True, False])
async def test_of_a_claim_and_a_close_that_wait_for_each_other_one_wins(
    ledger: World, claim_first: bool
) -> None:
    """What the later one reads must be what the earlier one wrote while it waited."""
    intent = await ledger.reserved()
    blocker = await asyncpg.connect(ledger.url)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("SELECT FROM child_orders FOR UPDATE")
    claiming = asyncio.ensure_future(claim(ledger, intent)) if claim_first else None
    await _until_waiting(ledger, 1 if claim_first else 0)
    closing = asyncio.ensure_future(ledger.store.close_attempt(intent.client_order_id, 1))
    await _until_waiting(ledger, 2 if claim_first else 1)
    claiming = claiming or asyncio.ensure_future(claim(ledger, intent))
    await _until_waiting(ledger, 2)
    await transaction.rollback()
    await blocker.close()
    claimed, truth = await claiming, await closing
    assert (claimed is None) is claim_first
    assert truth.never_claimed is not claim_first


async def _until_waiting(ledger: World, count: int) -> None:
    waiting = """
        SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """
    deadline = asyncio.get_running_loop().time() + 1.5  # within the lock timeout of 2 s
    while await ledger.value(waiting) < count:
        assert asyncio.get_running_loop().time() < deadline, f"fewer than {count} wait"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (TradingState.HALTED, ClaimCode.TRADING_HALTED),
        (TradingState.REDUCING, ClaimCode.TRADING_REDUCING),
    ],
)
async def test_the_kill_switch_refuses_a_claim_and_keeps_it_possible(
    ledger: World, state: TradingState, code: ClaimCode
) -> None:
    intent = await ledger.reserved()
    await ledger.store.set_trading_state("venue:binance", state, "stop")
    assert await claim(ledger, intent) is code
    await ledger.store.set_trading_state("venue:binance", TradingState.ACTIVE, "go")
    assert await claim(ledger, intent) is None


async def test_reducing_lets_a_reducing_child_be_claimed_but_not_flip(ledger: World) -> None:
    held = await ledger.sent("held")
    await ledger.ack(held, a_report(VenueStatus.FILLED, "1", a_fill("t1", "1")))
    sells = {"side": Side.SELL, "quantity": Decimal("0.7")}
    first = await ledger.reserved("first", **sells)
    second = await ledger.reserved("second", **sells)
    await ledger.store.set_trading_state("global", TradingState.REDUCING, "")
    assert await claim(ledger, first) is ClaimCode.TRADING_REDUCING  # both together would flip
    await ledger.store.give_up(second.client_order_id, "test")
    assert await claim(ledger, first) is None


async def test_an_account_that_is_not_ready_refuses_a_claim(ledger: World) -> None:
    intent = await ledger.reserved()
    await ledger.store.set_readiness(EXCHANGE, ACCOUNT, False, Decimal(30), "stream lost")
    assert await claim(ledger, intent) is ClaimCode.RECONCILING
    await ledger.store.set_readiness(EXCHANGE, ACCOUNT, True, Decimal(0), "stale")
    assert await claim(ledger, intent) is ClaimCode.RECONCILING
    await ledger.store.set_readiness(EXCHANGE, ACCOUNT, True, Decimal(30), "")
    assert await claim(ledger, intent) is None


async def test_no_claim_commits_after_a_halt_was_answered(ledger: World) -> None:
    intents = [await ledger.reserved(f"order-{number}") for number in range(6)]

    async def halt() -> int:
        await ledger.store.set_trading_state("global", TradingState.HALTED, "now")
        return int(await ledger.value(claimed))

    claimed = "SELECT count(*) FROM attempts WHERE state = 'SENDING'"
    *outcomes, at_halt = await asyncio.gather(*(claim(ledger, each) for each in intents), halt())
    assert await ledger.value(claimed) == at_halt == outcomes.count(None)


async def test_a_rejection_ends_the_child_and_frees_its_reservation(ledger: World) -> None:
    intent = await ledger.sent()
    for _ in range(2):
        await ledger.store.record_rejection(intent.client_order_id, 1, "-2010", "no funds")
    assert await ledger.child_status(intent) == "rejected"
    assert (await ledger.reservation(intent))[0] == "released"
    truth = await ledger.store.close_attempt(intent.client_order_id, 1)
    assert (truth.state, truth.outcome_code) == (AttemptState.REJECTED, "-2010")


async def test_an_unknown_outcome_keeps_the_reservation(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.store.record_unknown(intent.client_order_id, 1, "timeout")
    assert await ledger.child_status(intent) == "unknown"
    assert (await ledger.reservation(intent))[0] == "open"


async def test_neither_unknown_nor_rejection_undoes_an_acknowledgement(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.OPEN))
    await ledger.store.record_unknown(intent.client_order_id, 1, "late")
    await ledger.store.record_rejection(intent.client_order_id, 1, "x", "late")
    await ledger.store.prove_absent(intent.client_order_id, 1)
    truth = await ledger.store.close_attempt(intent.client_order_id, 1)
    assert truth.state is AttemptState.ACKED
    assert truth.venue_order_id == "v1"
    assert truth.report is not None
    assert truth.report.status is VenueStatus.OPEN
    assert await ledger.child_status(intent) == "working"


async def test_closing_a_claimed_attempt_tells_when_it_was_signed(ledger: World) -> None:
    intent = await ledger.sent()
    first = await ledger.store.close_attempt(intent.client_order_id, 1)
    again = await ledger.store.close_attempt(intent.client_order_id, 1)
    assert (first.state, again.state) == (AttemptState.SENDING, AttemptState.UNKNOWN)
    assert first.signed_at_ms == again.signed_at_ms == SIGNED_AT_MS
    assert not first.never_claimed
    assert not again.never_claimed


async def test_closing_an_unclaimed_attempt_twice_proves_the_same(ledger: World) -> None:
    intent = await ledger.reserved()
    truths = [await ledger.store.close_attempt(intent.client_order_id, 1) for _ in range(2)]
    assert all(truth.never_claimed for truth in truths)
    assert (await ledger.reservation(intent))[0] == "open"


async def test_an_attempt_that_is_not_there_is_not_known(ledger: World) -> None:
    truth = await ledger.store.close_attempt("nobody", 1)
    assert not truth.known
    assert not truth.never_claimed
    assert truth.epoch == await ledger.value("SELECT epoch FROM ledger_meta")


async def test_a_child_proven_absent_keeps_its_reservation_and_may_try_again(
    ledger: World,
) -> None:
    intent = await ledger.sent()
    for _ in range(2):
        await ledger.store.prove_absent(intent.client_order_id, 1)
    assert await ledger.child_status(intent) == "new"
    assert (await ledger.reservation(intent))[0] == "open"
    assert (await ledger.reserve(intent, attempt=2))[1] is None
    assert await claim(ledger, intent, 2) is None


async def test_giving_up_releases_what_was_never_sent(ledger: World) -> None:
    intent = await ledger.reserved()
    for _ in range(2):
        await ledger.store.give_up(intent.client_order_id, "cancelled")
    assert await ledger.child_status(intent) == "not_sent"
    assert (await ledger.reservation(intent))[0] == "released"
    assert await claim(ledger, intent) is ClaimCode.ATTEMPT_CLOSED


async def test_giving_up_an_id_that_was_never_reserved_is_fine(ledger: World) -> None:
    await ledger.store.give_up("nobody", "cancelled")


async def test_what_may_be_live_cannot_be_given_up(ledger: World) -> None:
    intent = await ledger.sent()
    with pytest.raises(ChildMayBeLiveError):
        await ledger.store.give_up(intent.client_order_id, "cancelled")
    await ledger.store.prove_absent(intent.client_order_id, 1)
    await ledger.store.give_up(intent.client_order_id, "cancelled")
    assert (await ledger.reservation(intent))[0] == "released"


async def test_an_answer_to_a_closed_attempt_is_kept_and_alarmed(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.store.prove_absent(intent.client_order_id, 1)
    await ledger.ack(intent, a_report(VenueStatus.OPEN))
    assert await ledger.alarms() == ["LATE_ACK"]
    assert await ledger.child_status(intent) == "working"
