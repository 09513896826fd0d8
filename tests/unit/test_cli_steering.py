"""The commands of the newer order types, of steering and of previews, against stand-ins."""

import getpass
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from starters import cli_actions, cli_strategies
from starters.cli import main
from starters.cli_options import fields_of
from starters.errors import AlreadyTerminal, EffectPending, OutcomeUnknown, Refused
from tests.unit.order_bodies import KINDS, OPTIONS
from tests.unit.starters_fakes import (
    FakeConnections,
    iceberg_snapshot,
    snapshot,
    stop_snapshot,
    twap_snapshot,
)
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import ChildType, OrderType, Placement, Side
from workflows.domain.triggers import Flag
from workflows.messages import OrderRequest, validate_order
from workflows.preview_messages import OrderPreview, PlannedChild
from workflows.steering_messages import ActionKind, ActionView, AmendRequest

Answering = Callable[..., FakeConnections]
# each is wrong beside another of the values, in every order that has both
ALONE = {"end_at": "2031-01-31T12:00:00Z", "price": "48900"}


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Answering:
    """Connects the commands to a stand-in that answers so."""
    monkeypatch.chdir(tmp_path)

    def connect(*arguments: Any, **options: Any) -> FakeConnections:
        connections = FakeConnections(*arguments, **options)
        monkeypatch.setattr(cli_actions, "Connections", lambda _settings: connections)
        return connections

    return connect


def typed(fields: dict[str, Any]) -> list[str]:
    """The fields as they are typed."""
    words = []
    for name, value in fields.items():
        dashed = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{dashed}" if value else f"--no-{dashed}")
        else:
            words += [f"--{dashed}", str(value)]
    return words


# --- options --------------------------------------------------------------------------------------


def accepts(kind: OrderType, name: str, value: object) -> bool:
    """Whether the engine takes this field with this type of order."""
    is_limit = name == "post_trigger_timeout_s" and "price" in fields_of(kind)
    needed = {"price": "48900"} if is_limit else {}
    answer = validate_order(KINDS[kind] | needed | {name: value})
    return isinstance(answer, OrderRequest) or answer.field != name


@pytest.mark.parametrize("kind", OrderType)
def test_each_type_has_exactly_the_options_that_the_engine_takes(kind: OrderType) -> None:
    always = {"side", "quantity", *KINDS[kind]} - {"order_type"}
    values = OPTIONS | ALONE | {"time_in_force": "IOC"}
    values |= {"stop_price": "49000", "take_profit_price": "51500"}
    values |= {"oco_limit_price": "51500", "trailing_delta_bps": 100}
    taken = {name for name, value in values.items() if accepts(kind, name, value)}
    assert set(fields_of(kind)) == taken | always
    assert set(OrderRequest.model_fields) - {"order_type"} == {
        name for each in OrderType for name in fields_of(each)
    }


@pytest.mark.parametrize("kind", OrderType)
def test_every_option_becomes_its_field(kind: OrderType, answering: Answering) -> None:
    wanted = {name: OPTIONS[name] for name in fields_of(kind) if name in OPTIONS}
    wanted |= {name: value for name, value in KINDS[kind].items() if name not in wanted}
    wanted |= {"price": "48900"} if "post_trigger_timeout_s" in wanted else {}
    wanted.pop("iceberg_display", None)  # not beside the ratio
    expected = validate_order(wanted)
    assert isinstance(expected, OrderRequest), expected
    connections = answering()
    words = typed({name: value for name, value in wanted.items() if name != "order_type"})
    assert main(["order", kind.replace("_", "-"), *words]) == 0
    (asked,) = connections.asked
    assert asked.model_dump() == expected.model_dump()


def test_what_is_shown_of_an_iceberg_may_be_a_quantity(answering: Answering) -> None:
    connections = answering()
    words = typed({name: value for name, value in KINDS["iceberg"].items() if name != "order_type"})
    assert main(["order", "iceberg", *words, "--iceberg-display", "0.01"]) == 0
    assert connections.asked[0].iceberg_display == Decimal("0.01")


def test_the_end_is_an_option_too(answering: Answering) -> None:
    connections = answering()
    words = typed({name: value for name, value in KINDS["oco"].items() if name != "order_type"})
    assert main(["order", "oco", *words, "--end-at", "2031-01-31T13:00:00+01:00"]) == 0
    assert connections.asked[0].end_at.isoformat() == "2031-01-31T12:00:00+00:00"


# --- steering -------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_pause_or_resume_is_asked_in_the_users_name(action: str, answering: Answering) -> None:
    connections = answering(snapshot(status=OrderStatus.PAUSED))
    assert main(["orders", action, "a", "--reason", "news"]) == 0
    ((kind, order_id, request),) = connections.asked
    assert (kind, order_id, request.reason) == (action, "a", "news")
    assert request.requested_by == f"cli:{getpass.getuser()}"
    assert main(["orders", action, "a", "--requested-by", "desk-2"]) == 0
    assert connections.asked[1][2].requested_by == "desk-2"


def test_an_amendment_is_its_options(answering: Answering) -> None:
    connections = answering(snapshot())
    words = ["--price", "49900", "--quantity", "2", "--end-at", "2030-01-31T12:00:00Z"]
    assert main(["orders", "amend", "a", *words, "--max-participation", "0.1"]) == 0
    ((kind, _id, request),) = connections.asked
    assert kind is ActionKind.AMEND
    assert isinstance(request, AmendRequest)
    assert set(request.changes) == {"price", "quantity", "end_at", "max_participation"}
    assert (request.price, request.quantity) == (Decimal(49900), Decimal(2))


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (
            Refused("a", Denied(code=DenialCode.NOT_PAUSED, detail="the order is not paused")),
            1,
            "NOT_PAUSED: the order is not paused",
        ),
        (
            Refused("a", Denied(code=DenialCode.PRECISION, detail="off the tick", field="price")),
            2,
            "PRECISION: price: off the tick",
        ),
        (AlreadyTerminal(snapshot(status=OrderStatus.FILLED)), 1, "ALREADY_TERMINAL: order a is"),
        (OutcomeUnknown("a"), 1, "OUTCOME_UNKNOWN: no verdict yet on order a"),
        (EffectPending(snapshot()), 0, "accepted: order a takes it up with its next slice or tip"),
    ],
)
def test_each_outcome_of_steering_has_its_exit_code_and_its_line(
    outcome: Exception,
    code: int,
    said: str,
    answering: Answering,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answering(outcome)
    assert main(["orders", "pause", "a", "--json"]) == code
    shown = capsys.readouterr()
    assert shown.err.startswith(said)
    assert len(shown.err.strip().splitlines()) == 1
    assert bool(shown.out) == (code == 0)


# --- what is shown --------------------------------------------------------------------------------


CANCELLED, FILLED = {"status": OrderStatus.CANCELLED}, {"status": OrderStatus.FILLED}


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (twap_snapshot(), "slice 3/10"),
        (iceberg_snapshot(), "tip 3 shows 0.008"),
        (stop_snapshot(), "armed at 49750 (best 50508)"),
        (stop_snapshot(phase="fired", fired_price=Decimal("49749.5")), "fired at 49749.5"),
        (stop_snapshot(phase="waiting", trigger_price=None, extreme=None), "waiting"),
        (stop_snapshot(phase="disarmed").model_copy(update=CANCELLED), "disarmed"),
        (stop_snapshot(phase="disarmed").model_copy(update=FILLED), ""),
        (snapshot(), ""),
    ],
)
def test_where_a_strategy_is_fits_on_a_line(
    told: Any, line: str, answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli_strategies.line(told) == line
    answering(told)
    assert main(["orders", "progress", told.order_id]) == 0
    assert line in capsys.readouterr().out


def test_a_stop_is_shown_with_its_trigger_its_flags_and_what_it_protects(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(stop_snapshot(flags=(Flag.LATE, Flag.CANDLE), is_blind=True))
    assert main(["orders", "show", "s"]) == 0
    out = capsys.readouterr().out
    for text in ("49750 (bid_ask)", "50508", "LATE, CANDLE", "BLIND", "protects"):
        assert text in out
    answering(stop_snapshot(is_protected=False, phase="disarmed"))
    assert main(["orders", "show", "s"]) == 0
    assert "NOTHING" in capsys.readouterr().out


def test_an_iceberg_is_shown_with_its_tips_and_who_works_it(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(iceberg_snapshot())
    assert main(["orders", "show", "i"]) == 0
    out = capsys.readouterr().out
    for text in ("3 shown, 2 filled", "0.008 at 50000", "0.07", "the engine"):
        assert text in out


def test_slices_that_were_merged_are_told(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    told = twap_snapshot()
    assert told.twap is not None
    merged = told.twap.model_copy(update={"slices_requested": 100, "slices_late": 1})
    answering(told.model_copy(update={"twap": merged}))
    assert main(["orders", "show", "t"]) == 0
    out = capsys.readouterr().out
    assert "100 slices were asked for" in out
    assert "1 late" in out


def test_who_steered_an_order_is_shown_with_it(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    action = ActionView(
        index=0,
        kind=ActionKind.AMEND,
        at="2026-01-01T12:00:00+00:00",
        requested_by="cli:[bold]ann",
        reason="news",
        detail="price 50000 -> 49900",
    )
    answering(snapshot(actions=(action,)))
    assert main(["orders", "show", "a"]) == 0
    text = "2026-01-01T12:00:00 amend by cli:[bold]ann price 50000 -> 49900 news"
    assert text in capsys.readouterr().out


# --- preview --------------------------------------------------------------------------------------

PREVIEW = OrderPreview(
    accepted=True,
    order_type=OrderType.TWAP,
    exchange="binance",
    symbol="BTC/USDT",
    side=Side.BUY,
    quantity=Decimal(1),
    placement=Placement.ENGINE,
    schedule=(
        PlannedChild(index=0, at=None, child_type=ChildType.LIMIT, quantity=Decimal("0.5")),
        PlannedChild(index=1, at=None, child_type=ChildType.LIMIT, quantity=Decimal("0.5")),
    ),
    schedule_total=10,
    reference_price=Decimal(50_000),
    expected_average_price=Decimal("50010.5"),
    expected_fees=Decimal("50.01"),
    expected_slippage_bps=Decimal("2.1"),
    notional=Decimal("50010.5"),
    notes=("slices were merged",),
)
TWAP = ["orders", "preview", "twap", "--symbol", "BTC/USDT", "--side", "buy", "--quantity", "1"]


def test_a_preview_shows_the_verdict_the_costs_and_the_schedule(
    answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    connections = answering(PREVIEW)
    assert main(TWAP) == 0
    assert connections.asked[0].order_type is OrderType.TWAP
    out = capsys.readouterr().out
    for text in (
        "would be accepted",
        "50010.5",
        "50.01 USDT",
        "2.1 bps",
        "at once",
        "the first 2 of 10",
        "note: slices were merged",
    ):
        assert text in out
    assert main([*TWAP, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schedule_total"] == 10


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [(DenialCode.RISK_MAX_NOTIONAL, 2), (DenialCode.TRADING_HALTED, 1)],
)
def test_a_preview_of_an_order_that_would_be_denied_says_so_as_the_order_would(
    code: DenialCode, exit_code: int, answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(OrderPreview(accepted=False, code=code, field="quantity", reason="limit=1 asked=2"))
    assert main(TWAP) == exit_code
    assert capsys.readouterr().err.strip() == f"{code}: quantity: limit=1 asked=2"
