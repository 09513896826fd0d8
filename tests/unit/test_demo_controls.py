"""What the demo counts as held of its limit, its halt, its comparisons and its books."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from activities.ledger.results import EXTERNAL, TradingState
from activities.ledger.view_audit import AuditView
from activities.ledger.view_position_models import PositionView
from starters.demo_control_result import Books, ControlsOutcome, HaltOutcome
from starters.demo_show import Screen
from starters.demo_show_controls import books_shown, compared, halted
from starters.trading_state import SweptEntry, SwitchAnswer
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.reconciliation import DifferenceKind
from workflows.messages import OrderSnapshot
from workflows.ports.sync import SyncAction
from workflows.sync_messages import AccountReport, DifferenceReport, SyncReport

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


def an_order(status: OrderStatus, code: DenialCode | None = None) -> OrderSnapshot:
    return OrderSnapshot(order_id="o", status=status, code=code)


def a_halt(*, confirmed: bool = True, status: str = "cancelled") -> HaltOutcome:
    swept = SweptEntry(
        exchange="binance",
        account="main",
        symbol="BTC/USDT",
        client_order_id="c",
        exchange_order_id="1",
        order_id="o",
        strategy_id="s",
        status=status,
        executed_quantity=Decimal(0),
    )
    answer = SwitchAnswer(
        scope="strategy:s",
        state=TradingState.HALTED,
        reason="r",
        requested_by="demo",
        set_at=NOW,
        confirmed=confirmed,
        orders=[swept],
    )
    return HaltOutcome(
        answer=answer,
        blocked_s=0.05,
        took_s=1.5,
        refused=an_order(OrderStatus.DENIED, DenialCode.TRADING_HALTED),
        paused=an_order(OrderStatus.PAUSED),
        done=an_order(OrderStatus.FILLED),
    )


def a_position(**changes: Any) -> PositionView:
    """One unit was bought for 100; it is worth 110."""
    figures: dict[str, Any] = {
        "quantity": Decimal(1),
        "average_price": Decimal(100),
        "cost": Decimal(100),
        "realised_gross": Decimal(0),
        "fees_quote": Decimal(0),
        "fees_other": Decimal(0),
        "fees_unvalued": {},
        "realised_net": Decimal(0),
        "cash": Decimal(-100),
        "mark": Decimal(110),
        "mark_age_s": Decimal(1),
        "unrealised": Decimal(10),
        "total": Decimal(10),
        "strategy_id": EXTERNAL,
        "account": "main",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "fill_count": 1,
        "traded_at": NOW,
    }
    return PositionView(**figures | changes)


def decisions(*changes: tuple[str, dict[str, str] | None]) -> list[AuditView]:
    return [
        AuditView(
            id=number,
            at=NOW,
            who="demo",
            action=action,
            object="strategy:s",
            before=None,
            after=after,
            reason="r",
        )
        for number, (action, after) in enumerate(changes, 1)
    ]


TRAIL = decisions(
    ("risk_limit", {"value": "2000"}),
    ("trading_state", {"state": "halted", "reason": "r"}),
    ("trading_state", {"state": "active", "reason": "r"}),
)


def a_report(action: SyncAction = SyncAction.RECORDED, *, settled: bool = True) -> SyncReport:
    found = DifferenceReport(
        kind=DifferenceKind.EXTERNAL_ORDER,
        object="BTC/USDT/7",
        action=action,
        age_s=Decimal(0),
        detail="buy, filled, executed 1",
    )
    account = AccountReport(account="main", settled=settled, differences=(found,))
    return SyncReport(exchange="binance", accounts=(account,))


HELD = ControlsOutcome(
    limited=an_order(OrderStatus.DENIED, DenialCode.RISK_MAX_NOTIONAL),
    halt=a_halt(),
    by_hand=Decimal(1),
    syncs=[a_report()],
    books=Books(positions=[a_position()], audit=TRAIL, broken_at=None),
)


def test_controls_that_did_what_they_are_there_for_are_counted_as_held() -> None:
    assert HELD.failures() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limited": an_order(OrderStatus.FILLED)}, "above the limit is filled"),
        ({"halt": a_halt(confirmed=False)}, "did not confirm"),
        ({"halt": a_halt(status="unproven")}, "did not confirm"),
        ({"halt": replace(a_halt(), refused=an_order(OrderStatus.FILLED))}, "halt is filled"),
        ({"halt": replace(a_halt(), done=an_order(OrderStatus.CANCELLED))}, "is cancelled"),
        ({"syncs": [a_report(SyncAction.OPEN)]}, "binance and the ledger differ"),
        ({"syncs": [a_report(settled=False)]}, "binance and the ledger differ"),
        ({"syncs": []}, "not in the books as EXTERNAL"),
    ],
)
def test_what_a_control_did_not_do_is_named(changes: dict[str, Any], said: str) -> None:
    (failure,) = replace(HELD, **changes).failures()
    assert said in failure


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"positions": [a_position(total=Decimal(11))]}, "does not add up"),
        ({"positions": [a_position(cash=Decimal(-99))]}, "does not add up"),
        ({"positions": [a_position(mark=None)]}, "does not add up"),
        ({"positions": [a_position(fees_unvalued={"BNB": Decimal(1)})]}, "does not add up"),
        ({"positions": [a_position(strategy_id="s")]}, "as EXTERNAL"),
        ({"broken_at": 2}, "broken at row 2"),
        ({"audit": TRAIL[1:]}, "tell of risk_limit"),
        ({"audit": TRAIL[:2]}, "tell of trading_state active"),
    ],
)
def test_books_that_do_not_fit_are_named(changes: dict[str, Any], said: str) -> None:
    (failure,) = replace(HELD, books=replace(HELD.books, **changes)).failures()
    assert said in failure


def test_what_is_shown_says_what_was_found() -> None:
    assert halted(a_halt().answer, 0.05, 1.5) == (
        "nothing of it leaves any more after 0.05 s; "
        "after 1.5 s, by the exchange's word: o is cancelled, executed 0"
    )
    assert compared(a_report()) == [
        "binance/main: 0 differences",
        "  recorded: external order BTC/USDT/7 (buy, filled, executed 1)",
    ]
    assert compared(a_report(SyncAction.OPEN, settled=False))[0] == (
        "binance/main: 1 differences; it traded meanwhile: balances were not compared"
    )
    refused = AccountReport(account="main", code=DenialCode.UNAVAILABLE, reason="away")
    assert compared(SyncReport(exchange="okx", accounts=(refused,))) == [
        "okx/main: not compared: UNAVAILABLE away"
    ]


def test_the_tables_show_gains_with_their_sign_and_a_chain_that_is_broken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Screen(as_json=False).picture(books_shown(replace(HELD.books, broken_at=3)))
    shown = capsys.readouterr().out
    assert "+10.00" in shown
    assert "BROKEN at row 3" in shown
    assert "halted" in shown
