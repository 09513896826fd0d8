"""The operators' desk: what it refuses before the ledger is asked."""

from decimal import Decimal

import pytest

from activities.ledger.alarm_store import AlarmStore
from activities.ledger.key_store import KeyStore
from activities.ledger.risk_store import RiskStore
from activities.ledger.sync_store import SyncStore
from tests.unit.starters_fakes import settings_of
from workers.desk import Desk
from workflows.domain.denials import Denied


def a_desk() -> Desk:
    nothing = None  # refused before the database is asked
    return Desk(
        settings=settings_of(
            EXCHANGE_BINANCE_HEDGE_API_KEY="key", EXCHANGE_BINANCE_HEDGE_SECRET="s"
        ),
        risk=RiskStore(nothing),  # type: ignore[arg-type] # as above
        sync=SyncStore(nothing),  # type: ignore[arg-type] # as above
        alarms=AlarmStore(nothing),  # type: ignore[arg-type] # as above
        keys=KeyStore(nothing),  # type: ignore[arg-type] # as above
    )


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ("account:kraken:main", "UNKNOWN_ENUM"),
        ("account:binance:hegde", "UNKNOWN_ENUM"),
        ("symbol:kraken:BTC/USDT", "UNKNOWN_ENUM"),
        ("account:binance", "ILLEGAL_CHARS"),
        ("symbol:binance:btc", "ILLEGAL_CHARS"),
        ("planet:mars", "UNKNOWN_ENUM"),
    ],
)
async def test_nothing_is_limited_or_let_pass_where_it_would_bind_nothing(
    scope: str, code: str
) -> None:
    desk = a_desk()
    for denied in (
        await desk.set_limit(scope, "max_order_value", Decimal(1), by="ann", reason="why"),
        await desk.request_override(scope, "RISK_MAX_QTY", reason="why", minutes=5, by="ann"),
    ):
        assert isinstance(denied, Denied)
        assert (denied.code, denied.field) == (code, "scope")


@pytest.mark.parametrize(
    "scope", ["account:binance:hedge", "symbol:binance:BTC/USDT", "strategy:s"]
)
async def test_what_is_configured_goes_on_to_the_ledgers_own_checks(scope: str) -> None:
    denied = await a_desk().set_limit(scope, "max_foo", Decimal(1), by="ann", reason="why")
    assert isinstance(denied, Denied)
    assert denied.code == "UNKNOWN_LIMIT"


async def test_a_limit_of_what_is_no_longer_configured_can_be_taken_away() -> None:
    denied = await a_desk().set_limit(
        "account:kraken:main", "max_foo", None, by="ann", reason="why"
    )
    assert isinstance(denied, Denied)
    assert denied.code == "UNKNOWN_LIMIT"
