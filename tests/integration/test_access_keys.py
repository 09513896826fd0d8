"""API keys, sessions and the audit trail of requests, on a real ledger and the API in-process."""

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from activities.ledger.key_store import KeyStore
from activities.ledger.key_text import KeyText, new_key
from activities.ledger.view_keys import KeyViews
from starters import keys
from starters.api import sessions
from starters.api.app import create_app
from starters.callers import Callers, NotAuthenticated
from starters.connections import Connections
from starters.errors import Unavailable
from tests.integration.access_calls import SIGNED_IN, a_client, bearer, made, trail
from tests.integration.ledger_world import World
from workers.local_key import NAME, ensure_local_key
from workers.settings import Settings, load_settings
from workflows.domain.access import Scope
from workflows.domain.denials import Denied

EACH = 1000
APART_MS = 5
GOOD = 200


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    found = load_settings({"DELTA_HOME": str(tmp_path / "home"), "DATABASE_URL": database_url})
    found.home.make()
    return found


@pytest.fixture
async def connections(settings: Settings) -> AsyncIterator[Connections]:
    opened = Connections(settings)
    yield opened
    await opened.close()


# --- keys in the ledger ---------------------------------------------------------------------------


async def test_the_ledger_keeps_no_secret_and_tells_who_made_and_ended_a_key(ledger: World) -> None:
    key = await made(ledger)
    store = KeyStore(ledger.engine)
    assert await store.revoke("desk-1", by="bob") == key.key_id
    assert await store.revoke(key.key_id, by="bob") == key.key_id
    dumped = repr([dict(row) for row in await ledger.rows("SELECT * FROM api_keys")])
    dumped += repr([dict(row) for row in await ledger.rows("SELECT * FROM audit")])
    assert key.secret not in dumped
    assert await trail(ledger) == [
        ("ann", "create_key", "key:desk-1"),
        ("bob", "revoke_key", "key:desk-1"),
    ]


async def test_a_name_is_one_good_keys_at_a_time(ledger: World) -> None:
    first, second = await made(ledger), new_key()
    store = KeyStore(ledger.engine)
    denied = await store.create(second, "desk-1", [Scope.READ], by="ann")
    assert isinstance(denied, Denied)
    assert denied.field == "name"
    await ledger.rows(
        "UPDATE api_keys SET created_at = created_at - interval '91 days',"
        " expires_at = expires_at - interval '91 days'"
    )
    assert await store.create(second, "desk-1", [Scope.READ], by="ann") is None
    good = await KeyViews(ledger.engine).keys()
    assert [each.id for each in good] == [second.key_id]
    assert len(await KeyViews(ledger.engine).keys(ended=True)) == 2
    assert first.key_id != second.key_id


async def test_two_who_make_a_key_of_one_name_at_once_make_one(ledger: World) -> None:
    store = KeyStore(ledger.engine)
    asked = (store.create(new_key(), "desk-1", [Scope.READ], by="ann") for _ in range(8))
    answers = await asyncio.gather(*asked)
    assert answers.count(None) == 1


async def test_a_key_is_shown_once_and_listed_without_its_secret(connections: Connections) -> None:
    asked = keys.validate_key_request({"name": "bot", "scopes": ["read"], "accounts": ["main"]})
    assert isinstance(asked, keys.KeyRequest)
    shown = await keys.create_key(connections, asked, by="cli:ann")
    assert isinstance(shown, keys.NewKey)
    listed = (await keys.list_keys(connections)).model_dump_json()
    assert shown.id in listed
    assert shown.key not in listed
    caller = await connections.callers.of_key(shown.key, "127.0.0.1")
    assert (caller.name, caller.scopes, caller.accounts) == ("bot", {Scope.READ}, {"main"})
    unknown = asked.model_copy(update={"accounts": ("hegde",)})
    assert isinstance(await keys.create_key(connections, unknown, by="cli:ann"), Denied)


async def test_the_local_key_is_kept_until_it_is_about_to_end(
    settings: Settings, ledger: World
) -> None:
    await ensure_local_key(settings)
    first = settings.home.api_key()
    await ensure_local_key(settings)
    assert settings.home.api_key() == first
    for path in (settings.home.api_key_path, settings.home.api_header_path):
        assert path.stat().st_mode & 0o777 == 0o600
    header = settings.home.api_header_path.read_text()
    assert header == f"Authorization: Bearer {first}\n"
    await ledger.rows("UPDATE api_keys SET expires_at = now() + interval '6 days'")
    await ensure_local_key(settings)
    assert settings.home.api_key() != first
    (good,) = await KeyViews(ledger.engine).keys()
    assert (good.name, set(good.scopes)) == (NAME, set(Scope))


# --- at the door ----------------------------------------------------------------------------------


async def test_a_revoked_key_and_its_sessions_are_dead_within_a_second_in_every_process(
    settings: Settings, ledger: World
) -> None:
    key = await made(ledger)
    processes = [Connections(settings), Connections(settings)]
    try:
        token = await sessions.sign_in(processes[0], key.text, "127.0.0.1")
        for each in processes:
            assert (await each.callers.of_key(key.text, "127.0.0.1")).name == "desk-1"
            assert await sessions.caller_of_token(each, token) is not None
        await KeyStore(ledger.engine).revoke("desk-1", by="ann")
        revoked_at = time.monotonic()
        for each in processes:
            while await sessions.caller_of_token(each, token) is not None:
                assert time.monotonic() - revoked_at < 1
                await asyncio.sleep(0.02)
            while await _lets_in(each, key):
                assert time.monotonic() - revoked_at < 1
                await asyncio.sleep(0.02)
    finally:
        for each in processes:
            await each.close()


async def _lets_in(connections: Connections, key: KeyText) -> bool:
    try:
        await connections.callers.of_key(key.text, "127.0.0.1")
    except NotAuthenticated:
        return False
    return True


async def test_unknown_wrong_revoked_and_expired_keys_take_the_same_time(
    connections: Connections, ledger: World
) -> None:
    wrong, revoked, expired = [await made(ledger, name) for name in ("a", "b", "c")]
    await KeyStore(ledger.engine).revoke("b", by="ann")
    await ledger.rows(
        "UPDATE api_keys SET created_at = now() - interval '9 days',"
        " expires_at = now() - interval '1 day' WHERE name = 'c'"
    )
    tried = {
        "unknown": new_key(),
        "wrong": KeyText(key_id=wrong.key_id, secret=new_key().secret),
        "revoked": revoked,
        "expired": expired,
    }
    took: dict[str, list[float]] = {kind: [] for kind in tried}
    for number in range(EACH):  # one after the other, so that what else runs slows all alike
        for kind, key in tried.items():
            started = time.perf_counter()
            with pytest.raises(NotAuthenticated):
                await connections.callers.of_key(key.text, f"peer-{number}")
            took[kind].append((time.perf_counter() - started) * 1000)
    medians = {kind: statistics.median(each) for kind, each in took.items()}
    assert max(medians.values()) - min(medians.values()) <= APART_MS, medians


async def test_a_ledger_that_is_away_lets_nobody_in(settings: Settings, ledger: World) -> None:
    key = await made(ledger)
    away = re.sub(r":\d+/", ":1/", settings.dsn())
    app = create_app(settings.model_copy(update={"database_url": _secret(away)}))
    async with a_client(app) as client:
        answer = await client.get(SIGNED_IN, headers=bearer(key))
        assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
        assert (await client.get("/health/live", headers=bearer(key))).status_code == 200
        assert (await client.get(SIGNED_IN)).status_code == 401


def _secret(text: str) -> Any:
    return load_settings({"DATABASE_URL": text}).database_url


async def test_a_session_stands_for_its_key_and_only_on_our_own_pages(
    settings: Settings, ledger: World, connections: Connections
) -> None:
    key = await made(ledger, "desk-1", Scope.READ, Scope.ADMIN)
    token = await sessions.sign_in(connections, key.text, "127.0.0.1")
    app = create_app(settings, connections)
    cookie = {"Cookie": f"{sessions.COOKIE}={token}"}
    ack, ours = "/api/v1/alarms/1/ack", {"Origin": "http://127.0.0.1"}
    async with a_client(app) as client:
        assert (await client.get(SIGNED_IN, headers=cookie)).status_code == GOOD
        assert (await client.post(ack, headers=cookie | ours)).status_code == 404
        foreign = (
            {},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://["},
        )
        for origin in foreign:
            assert (await client.post(ack, headers=cookie | origin)).status_code == 401
        await sessions.sign_out(connections, token, "127.0.0.1")
        await sessions.sign_out(connections, token, "127.0.0.1")
        assert (await client.get(SIGNED_IN, headers=cookie)).status_code == 401
    told = [each[1] for each in await trail(ledger)]
    assert told == [
        "create_key",
        "sign_in",
        f"POST {ack.replace('1/ack', '{alarm_id}/ack')}",
        "sign_out",
    ]
    assert token not in repr([dict(row) for row in await ledger.rows("SELECT * FROM api_sessions")])


def test_the_cookie_is_for_this_site_and_no_script() -> None:
    kept = sessions.cookie_of("token", secure=True)
    assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} <= set(kept.split("; "))
    assert "Secure" not in sessions.cookie_of("token", secure=False)
    assert "Max-Age=0" in sessions.cookie_of("", secure=False)


@pytest.mark.parametrize(
    ("changes", "peer", "may"),
    [
        ({}, "127.0.0.1", True),
        ({}, "::1", True),
        ({}, "192.168.0.7", False),
        ({}, "local", False),
        ({"TEMPORAL_ADDRESS": "temporal.example:7233"}, "127.0.0.1", False),
        ({"EXCHANGE_BINANCE_API_KEY": "k" * 64, "EXCHANGE_BINANCE_SECRET": "s" * 64}, "::1", False),
    ],
)
def test_a_page_signs_in_by_itself_only_where_nothing_real_can_be_traded(
    tmp_path: Path, changes: dict[str, str], peer: str, may: bool
) -> None:
    settings = load_settings({"DELTA_HOME": str(tmp_path), "EXCHANGES": "binance", **changes})
    settings.home.make()
    assert not sessions.local_sign_in(settings, peer)
    settings.home.keep_api_key(new_key().text)
    assert sessions.local_sign_in(settings, peer) is may


# --- the audit trail ------------------------------------------------------------------------------


async def test_what_repeats_is_told_once_with_its_count_and_a_lock_out_is_told(
    settings: Settings, ledger: World
) -> None:
    key = await made(ledger, "desk-1", Scope.READ)
    app = create_app(settings)
    wrong = bearer(KeyText(key_id=key.key_id, secret=new_key().secret))
    async with a_client(app) as client:
        for _ in range(3):
            forbidden = await client.post("/api/v1/risk/rearm", headers=bearer(key))
            assert forbidden.json()["code"] == "FORBIDDEN_SCOPE"
        answers = [(await client.get(SIGNED_IN, headers=wrong)).status_code for _ in range(7)]
        assert answers == [401] * 5 + [429] * 2
        await app.state.connections.close()
    assert (await trail(ledger))[1:] == [
        ("desk-1", "POST /api/v1/risk/rearm", "/api/v1/risk/rearm"),
        ("unauthenticated", "authentication_failed", f"key:{key.key_id}"),
        ("unauthenticated", "lock_out", f"key:{key.key_id}"),
    ]
    (row,) = await ledger.rows("SELECT after->>'count' AS count FROM audit WHERE id = 3")
    assert row["count"] == "1"
    assert await ledger.value("SELECT audit_broken_at()") is None


async def test_requests_at_once_share_their_transactions_and_lose_no_row(
    settings: Settings, ledger: World
) -> None:
    key = await made(ledger, "desk-1", Scope.ADMIN)
    quick = settings.model_copy(update={"api_trade_rate": 0, "api_read_rate": 0})
    app = create_app(quick)
    before = await ledger.value("SELECT txid_snapshot_xmax(txid_current_snapshot())")
    async with a_client(app) as client:
        asked = (
            client.post(f"/api/v1/alarms/{number}/ack", headers=bearer(key)) for number in range(50)
        )
        answers = await asyncio.gather(*asked)
        assert {each.status_code for each in answers} == {404}
        await app.state.connections.close()
    told = [each[2] for each in await trail(ledger) if each[1].startswith("POST")]
    assert sorted(told) == sorted(f"alarm:{number}" for number in range(50))
    after = await ledger.value("SELECT txid_snapshot_xmax(txid_current_snapshot())")
    # each of the 50 decisions is a transaction of its own; their rows are far fewer
    assert after - before < 50 + 40
    assert await ledger.value("SELECT audit_broken_at()") is None


async def test_an_answer_leaves_though_the_trail_cannot_be_written(
    settings: Settings, ledger: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await made(ledger, "desk-1", Scope.ADMIN)
    connections = Connections(settings)

    @asynccontextmanager
    async def away() -> AsyncIterator[Any]:
        raise Unavailable("the ledger does not answer")
        yield

    monkeypatch.setattr(connections, "writing", away)
    async with a_client(create_app(settings, connections)) as client:
        answer = await client.post("/api/v1/alarms/1/ack", headers=bearer(key))
    await connections.close()
    assert answer.status_code == 404
    assert len(await trail(ledger)) == 1


async def test_many_who_ask_at_once_with_one_key_ask_the_ledger_once(ledger: World) -> None:
    key, asked = await made(ledger), 0

    class Counted(KeyViews):
        async def key_check(self, key_id: str) -> Any:
            nonlocal asked
            asked += 1
            return await super().key_check(key_id)

    @asynccontextmanager
    async def reading(_views: type[KeyViews]) -> AsyncIterator[KeyViews]:
        yield Counted(ledger.engine)

    callers = Callers(reading)
    await asyncio.gather(*(callers.of_key(key.text, "127.0.0.1") for _ in range(100)))
    assert asked == 1
