"""Closing what is held: halt, exits alone, halt; and what is told of what stayed."""

import json
from decimal import Decimal
from typing import Any

import pytest

from starters import flatten
from tests.unit.fake_emergency import HELD, FakeEmergency
from tests.unit.starters_fakes import FakeClient, FakeConnections, call, denied, snapshot
from workers import closings
from workers.closings import Closing
from workers.settings import Settings
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.domain.scopes import Scope
from workflows.messages import OrderRequest, OrderSnapshot

SELL_ALL = Closing(holding=HELD, side=Side.SELL, quantity=Decimal("0.5"))
DUST = Closing(holding=HELD, side=Side.SELL, quantity=Decimal(0), why="too little")
FLATTEN = {"state": "halted", "scope": "strategy:s1", "reason": "r", "flatten": True}


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch) -> FakeEmergency:
    return FakeEmergency().install(monkeypatch)


async def put(body: dict[str, Any], connections: FakeConnections | None = None) -> Any:
    path = "/api/v1/trading-state"
    return await call(connections or FakeConnections(), "PUT", path, content=json.dumps(body))


def planned(monkeypatch: pytest.MonkeyPatch, *plan: Closing) -> None:
    async def closings_of(_settings: Settings, _scope: Scope) -> list[Closing]:
        return list(plan)

    monkeypatch.setattr(closings, "closings", closings_of)


async def test_flattening_halts_lets_only_exits_leave_and_halts_again(
    pulled: FakeEmergency, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(monkeypatch, SELL_ALL)
    pulled.held = []
    filled = snapshot("x", status=OrderStatus.FILLED, filled_quantity=Decimal("0.5"))
    connections = FakeConnections(filled)
    answer = await put(FLATTEN, connections)
    assert (answer.status_code, answer.json()["confirmed"]) == (200, True)
    assert [each[0] for each in pulled.asked] == ["halt", "reduce", "halt"]
    (order,) = connections.asked
    assert (order.side, order.quantity, order.reduce_only) == (Side.SELL, Decimal("0.5"), True)
    assert (order.strategy_id, order.order_type) == ("s1", "market")
    (told,) = answer.json()["exits"]
    assert (told["status"], told["filled_quantity"]) == ("filled", "0.5")


async def test_what_flattening_leaves_is_told_and_is_not_confirmed(
    pulled: FakeEmergency, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(monkeypatch, DUST)
    answer = await put(FLATTEN)
    told = answer.json()
    assert (answer.status_code, told["confirmed"]) == (202, False)
    assert (told["exits"][0]["status"], told["exits"][0]["reason"]) == ("not_sent", "too little")
    assert told["left"][0]["quantity"] == "0.5"


async def test_flattening_without_temporal_halts_and_says_that_it_needs_it(
    pulled: FakeEmergency, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(monkeypatch, SELL_ALL)
    answer = await put(FLATTEN, FakeConnections(is_temporal_away=True))
    assert [each[0] for each in pulled.asked] == ["halt"]
    assert answer.status_code == 202
    assert answer.json()["exits"][0]["reason"] == "Temporal does not answer"


async def test_an_exit_that_is_denied_because_an_order_is_not_settled_yet_is_sent_again(
    pulled: FakeEmergency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flatten, "AGAIN_AFTER_S", 0.01)
    planned(monkeypatch, SELL_ALL)
    answers = [denied(DenialCode.RISK_REDUCE_ONLY), denied(DenialCode.RECONCILING)]
    answers.append(snapshot("x", status=OrderStatus.FILLED))
    sent: list[str | None] = []

    async def submit(_client: FakeClient, order: OrderRequest) -> OrderSnapshot:
        sent.append(order.order_id)
        return answers[len(sent) - 1]

    monkeypatch.setattr(FakeClient, "submit", submit)
    answer = await put(FLATTEN)
    assert answer.json()["exits"][0]["status"] == "filled"
    assert len(set(sent)) == len(answers)


async def test_an_exit_that_is_denied_for_good_is_told_with_its_code(
    pulled: FakeEmergency, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(monkeypatch, SELL_ALL)
    answer = await put(FLATTEN, FakeConnections(denied(DenialCode.SYMBOL_NOT_TRADING)))
    (told,) = answer.json()["exits"]
    assert (told["status"], told["reason"].split(":")[0]) == ("denied", "SYMBOL_NOT_TRADING")
