"""What the gate tells the audit trail, what it never tells anybody, and whom it locks out."""

import json
import re

import pytest

from activities.ledger.key_text import new_key
from starters.callers import (
    FAILURES_WITHIN_S,
    LOCKED_FOR_S,
    MAX_FAILURES,
    LockOut,
    NotAuthenticated,
)
from tests.unit.access_fakes import BEARER, KEY
from tests.unit.api_door import an_app, ask
from tests.unit.starters_fakes import JSON, FakeConnections

WRONG = {"Authorization": f"Bearer {new_key().text}"}
ORDER = {
    "strategy_id": "s1",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "quantity": "1",
}


async def test_a_change_is_told_once_with_who_what_from_where_and_the_result() -> None:
    app, _ = an_app()
    app.state.connections = connections = FakeConnections()
    headers = {**BEARER, **JSON, "X-Request-Id": "r-1"}
    await ask(app, "POST", "/api/v1/orders", headers, content=json.dumps(ORDER), peer="127.0.0.9")
    await ask(app, "POST", "/api/v1/orders", headers, content="{}")
    await ask(app, "POST", "/api/v1/orders/a%0db/pause", BEARER)
    await ask(app, "GET", "/api/v1/orders", BEARER)
    await ask(app, "POST", "/api/v1/orders/preview", headers, content="{}")
    placed, refused, strange = connections.told
    assert (placed.who, placed.action) == ("desk-2", "POST /api/v1/orders")
    assert re.fullmatch(r"order:do-[0-9a-f]{32}", placed.about)
    assert placed.after == {
        "status": 201,
        "code": None,
        "key": KEY.key_id,
        "peer": "127.0.0.9",
        "request_id": "r-1",
    }
    assert (refused.about, refused.after["code"]) == ("/api/v1/orders", "MISSING_FIELD")
    assert strange.after["code"] == "ILLEGAL_CHARS"
    assert "\r" not in strange.about


async def test_a_key_where_it_does_not_belong_is_ignored_and_told_without_its_secret() -> None:
    app, connections = an_app()
    places: dict[str, tuple[str, dict[str, str]]] = {
        "query": (f"/api/v1/orders?key={KEY.text}", {}),
        "cookie": ("/api/v1/orders", {"Cookie": f"k={KEY.text}"}),
    }
    for path, headers in places.values():
        assert (await ask(app, "GET", path, headers)).status_code == 401
    assert [(each.action, each.about) for each in connections.told] == [
        ("misplaced_key", place) for place in places
    ]
    assert KEY.secret not in repr(connections.told)


async def test_no_log_line_and_no_answer_holds_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    app, _ = an_app()
    answers = [
        await ask(app, "GET", f"/api/v1/orders/{KEY.text}", BEARER),
        await ask(app, "GET", f"/api/v1/orders?x={KEY.text}", BEARER),
        await ask(app, "POST", f"/api/v1/orders/{KEY.text}/cancel", WRONG),
    ]
    out = capsys.readouterr()
    for text in (out.out, out.err, *(each.text for each in answers)):
        assert KEY.secret not in text
    assert "request" in out.out


# --- lock-out -------------------------------------------------------------------------------------


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def test_five_wrong_keys_within_a_minute_lock_the_pair_and_nothing_else() -> None:
    app, _ = an_app()
    wrong = {"Authorization": f"Bearer ek_{KEY.key_id}_{'A' * 43}"}
    statuses = [
        (await ask(app, "GET", "/api/v1/orders", wrong)).status_code
        for _ in range(MAX_FAILURES + 1)
    ]
    assert statuses == [401] * MAX_FAILURES + [429]
    locked = await ask(app, "GET", "/api/v1/orders", BEARER)
    assert (locked.status_code, locked.json()["code"]) == (429, "RATE_LIMITED")
    assert 0 < int(locked.headers["retry-after"]) <= LOCKED_FOR_S
    elsewhere = await ask(app, "GET", "/api/v1/orders", BEARER, peer="10.9.9.9")
    assert elsewhere.json()["message"] == "the ledger does not answer"


def test_the_lock_ends_after_a_quarter_of_an_hour_and_failures_after_a_minute() -> None:
    clock = Clock()
    lockout = LockOut(clock)
    for _ in range(MAX_FAILURES - 1):
        assert not lockout.failed("a", "key-1").locks
    clock.now_s += FAILURES_WITHIN_S
    assert not lockout.failed("a", "key-1").locks
    for _ in range(MAX_FAILURES - 1):
        last = lockout.failed("a", "key-1")
    assert last.locks
    with pytest.raises(NotAuthenticated):
        lockout.check("a", "key-1")
    lockout.check("a", "key-2")
    lockout.check("b", "key-1")
    assert lockout.failed("a", "key-2").locks  # the address has had its share
    clock.now_s += LOCKED_FOR_S
    lockout.check("a", "key-1")
