"""How the dashboard writes amounts, times and states, and what its lines over time are made of."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from activities.ledger.view_analytics import ExecutionFacts, FillFact, OrderFacts
from starters.dashboard import words
from starters.dashboard.charts import MAX_POINTS, thinned
from starters.dashboard.order_story import Story, executed, planned
from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.messages import OrderSnapshot
from workflows.order_views import TwapProgress

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TONES = {"good", "info", "warn", "bad", "mute"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (Decimal("0"), "0"),
        (Decimal("0.00000001"), "0"),
        (Decimal("0.1234567"), "0.1234567"),
        (Decimal("50012.123456789"), "50,012.123"),
        (Decimal("1E+3"), "1,000"),
        (Decimal("123456789.126"), "123,456,789.13"),
        (Decimal("-2.50"), "-2.5"),
    ],
)
def test_an_amount_is_cut_to_what_a_person_reads(value, shown):
    assert words.amount(value) == shown


@pytest.mark.parametrize(
    ("value", "shown", "tone"),
    [
        (None, "–", "even"),
        (Decimal("12.345"), "+12.34", "gain"),
        (Decimal("-1234.5"), "−1,234.50", "loss"),
        (Decimal("0"), "0.00", "even"),
    ],
)
def test_gain_and_loss_differ_by_a_sign_and_by_a_tone(value, shown, tone):
    assert (words.money(value), words.sign_tone(value)) == (shown, tone)


def test_all_of_it_is_only_what_is_not_a_bit_less():
    assert words.percent(Decimal("0.9999"), Decimal(1)) == 99
    assert words.percent(Decimal(1), Decimal(1)) == 100
    assert words.percent(None, Decimal(1)) == words.percent(Decimal(1), None) == 0


def test_every_state_has_a_word_a_symbol_and_a_tone():
    badges = [
        *map(words.order_badge, OrderStatus),
        *map(words.execution_badge, ExecutionStatus),
        *(words.child_badge(status.value) for status in ChildStatus),
        *map(words.trading_badge, ("active", "reducing", "halted")),
    ]
    for badge in badges:
        assert badge.word
        assert badge.icon not in ("", "radio_button_unchecked")
        assert badge.tone in TONES


def test_states_that_a_colour_alone_would_confuse_have_other_symbols():
    ends = [words.order_badge(status) for status in OrderStatus if status.is_terminal]
    assert len({badge.icon for badge in ends}) == len(ends)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.25, "0.2 s"), (42, "42 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")],
)
def test_a_span_is_told_in_its_two_largest_units(seconds, shown):
    assert words.span(Decimal(str(seconds))) == shown


def test_a_time_has_its_date_unless_it_is_of_today():
    assert words.clock("2026-03-01T09:08:07+00:00", NOON) == "09:08:07"
    assert words.clock("2026-02-28T23:00:00+00:00", NOON) == "28 Feb 23:00:00"


def test_of_too_many_points_the_first_and_the_last_stay():
    points = [(NOON + timedelta(seconds=n), Decimal(n)) for n in range(MAX_POINTS * 3 + 1)]
    kept = thinned(points)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert len(kept) <= MAX_POINTS + 1


def test_a_twap_is_planned_slice_by_slice_and_executed_fill_by_fill():
    order = OrderSnapshot(
        order_id="o-1",
        status=OrderStatus.WORKING,
        quantity=Decimal(1),
        twap=TwapProgress(
            slices_planned=4,
            slices_done=2,
            slices_sent=2,
            slices_filled=2,
            slices_late=0,
            spacing_s=Decimal(10),
            percent=Decimal(50),
            ends_at=(NOON + timedelta(seconds=40)).isoformat(),
        ),
    )
    story = _story([(3, "0.25"), (13, "0.25")])
    seconds = [((at - NOON).total_seconds(), value) for at, value in planned(order, story)]
    quarters = [Decimal("0.25"), Decimal("0.5"), Decimal("0.75"), Decimal(1)]
    assert seconds == [(0, Decimal(0)), *zip((0, 10, 20, 30), quarters, strict=True), (40, 1)]
    done = [((at - NOON).total_seconds(), value) for at, value in executed(story)]
    assert done == [(0, 0), (3, Decimal("0.25")), (13, Decimal("0.5")), (20, Decimal("0.5"))]


def _story(fills: list[tuple[int, str]]) -> Story:
    facts = OrderFacts(
        order_id="o-1",
        execution_id=None,
        strategy_id="s",
        account="main",
        exchange="binance",
        symbol="BTC/USDT",
        side="buy",
        order_type="twap",
        status="working",
        quantity=Decimal(1),
        arrival_price=Decimal(100),
        snapshot=None,
        plan=None,
        created_at=NOON,
        accepted_at=NOON,
        finished_at=None,
    )
    made = [
        FillFact(
            client_order_id="c",
            price=Decimal(100),
            quantity=Decimal(quantity),
            fee=Decimal(0),
            fee_asset="USDT",
            fee_rate=None,
            is_maker=False,
            traded_at=NOON + timedelta(seconds=after_s),
        )
        for after_s, quantity in fills
    ]
    read_at = NOON + timedelta(seconds=20)
    return Story(
        facts=ExecutionFacts(order=facts, fills=made, children=(), marks=(), read_at=read_at),
        checks=[],
    )
