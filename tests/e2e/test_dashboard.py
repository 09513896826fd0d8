"""The dashboard in a real browser, on the whole engine: what it shows, and what it does.

Pictures of every page are kept in `.delta/screenshots`, for whoever wants to see them.
"""

import asyncio
import re
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from sqlalchemy import text

from activities.ledger.engine import open_engine
from activities.ledger.key_store import KeyStore
from activities.ledger.key_text import new_key
from activities.ledger.view_audit import AuditViews
from starters.callers import FRESH_S
from tests.e2e.arbitrage_world import BTC, Pair
from tests.e2e.browser import CHROMIUM, DRIVER, MISSING, NARROW, Browser, open_browser
from tests.e2e.world import World, until
from workflows.domain.access import Scope
from workflows.domain.lifecycle import OrderStatus

pytest_plugins = ("tests.e2e.pair_stack",)
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(120),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING),
]

PICTURES = Path(__file__).parents[2] / ".delta" / "screenshots"
HOSTILE = "drill <script>document.title='taken'</script><img src=x onerror=document.title='taken'>"
MANY = 10_000
LOADS = 5
SLOWER_AT_MOST = 3
"""Times the answer may take with MANY orders what it takes with few."""
LIVE_WITHIN_S = 5.0
DONE_WITHIN_S = 30.0
_DONE = ".ask .actions button:last-child"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(pair: Pair) -> AsyncIterator[Browser]:
    """One window for all tests here; the stack lets it in by itself, as it is this machine's."""
    manager = open_browser(pair.world.stack.api_url, PICTURES)
    opened = await asyncio.to_thread(manager.__enter__)
    try:
        yield opened
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


async def test_an_order_appears_progresses_and_is_cancelled_from_its_page(
    pair: Pair, browser: Browser
) -> None:
    world = pair.world
    await asyncio.to_thread(browser.open, "/")
    order = await world.place(order_type="twap", quantity="1", twap_slices=100, twap_interval="1")
    row = f'a[href="/orders/{order.order_id}"]'
    await asyncio.to_thread(browser.wait, lambda: browser.all(row), "the order", LIVE_WITHIN_S)
    await asyncio.to_thread(_until_progress, browser, f"table.list tr:has({row})")
    await asyncio.to_thread(browser.one(row).click)
    await asyncio.to_thread(browser.wait, lambda: "Buy 1 BTC/USDT" in browser.text("h1"))
    await asyncio.to_thread(_until_progress, browser, ".card")
    await asyncio.to_thread(_act, browser, "Cancel order", HOSTILE)
    await asyncio.to_thread(browser.wait, lambda: "cancelled" in browser.text(".head .pill"))
    done = await world.finish(order)
    assert (done.status, done.reason) == (OrderStatus.CANCELLED, HOSTILE)
    assert 0 < done.filled_quantity < 1
    await asyncio.to_thread(browser.wait, lambda: HOSTILE in browser.words(), "the reason")
    assert "taken" not in browser.driver.title
    await until(lambda: _has_audit(world, "order_cancel", f"order:{order.order_id}"))


async def test_the_page_of_an_arbitrage_shows_both_legs_on_one_time_line(
    pair: Pair, browser: Browser
) -> None:
    await asyncio.to_thread(browser.open, "/arbitrage")
    async with pair.baits(BTC):
        aimed = pair.arbitrage(BTC)
        await aimed.start()
        told = await aimed.end()
    row = f'a[href="/arbitrage/{aimed.id}"]'
    await asyncio.to_thread(browser.wait, lambda: browser.all(row), "the row", LIVE_WITHIN_S)
    await asyncio.to_thread(browser.open, f"/arbitrage/{aimed.id}")
    for leg in told.orders:
        name = f"{leg.leg} at {leg.exchange}"
        await asyncio.to_thread(browser.one, "figure.chart svg text", name)
        assert name in browser.text("figure.chart figcaption")
    legs = await asyncio.to_thread(browser.all, "table.list tbody tr")
    assert len(legs) == len(told.orders) == 2


async def test_the_halt_button_stops_trading_and_a_reason_lets_it_go_on(
    pair: Pair, browser: Browser
) -> None:
    world = pair.world
    await asyncio.to_thread(browser.open, "/status")
    try:
        await asyncio.to_thread(_act, browser, "Halt trading", HOSTILE)
        await asyncio.to_thread(browser.one, "header .pill", "trading halted")
        denied = await world.place()
        assert (denied.status, denied.code) == (OrderStatus.DENIED, "TRADING_HALTED")
        await asyncio.to_thread(browser.wait, lambda: HOSTILE in browser.words(), "the reason")
        assert "taken" not in browser.driver.title
    finally:
        await asyncio.to_thread(_act, browser, "Resume trading", "the drill is over")
        await asyncio.to_thread(browser.one, "header .pill", "trading active")
    placed = await world.finish(await world.place())
    assert placed.status is OrderStatus.FILLED
    await until(lambda: _has_audit(world, "trading_state", "global"))


async def test_buttons_without_their_scope_say_why_and_a_revoked_key_can_do_nothing(
    pair: Pair, browser: Browser
) -> None:
    world = pair.world
    order = await world.rest(price=BTC.low - 10)
    async with _key(world, Scope.READ) as (reader, _name):
        await asyncio.to_thread(_sign_in, browser, reader)
        await asyncio.to_thread(browser.open, f"/orders/{order.order_id}")
        cancel = await asyncio.to_thread(browser.one, "main button", "Cancel order")
        assert cancel.get_attribute("aria-disabled") == "true"
        assert "has no scope kill or trade" in (cancel.get_attribute("title") or "")
    async with _key(world, Scope.READ, Scope.TRADE) as (trader, name):
        await asyncio.to_thread(_sign_in, browser, trader)
        await asyncio.to_thread(browser.open, f"/orders/{order.order_id}")
        await asyncio.to_thread(browser.one("main button", "Cancel order").click)
        await asyncio.to_thread(_fill, browser, "too late")
        await _with_keys(world, lambda keys: keys.revoke(name, by="test"))
        await asyncio.sleep(FRESH_S * 2)  # so long a revoked key may still be believed
        with suppress(NoSuchElementException, StaleElementReferenceException):
            await asyncio.to_thread(browser.driver.find_element(By.CSS_SELECTOR, _DONE).click)
        await asyncio.to_thread(browser.wait, lambda: "Sign in" in browser.text("h1"), "sign-in")
    assert (await world.orders.progress(order.order_id)).status is OrderStatus.WORKING
    await world.orders.cancel(order.order_id)
    await asyncio.to_thread(browser.driver.delete_all_cookies)


@pytest.mark.timeout(240)
async def test_every_page_is_accessible_in_both_themes_and_fits_a_phone(
    pair: Pair, browser: Browser
) -> None:
    world = pair.world
    order = await world.finish(
        await world.place(order_type="twap", quantity="0.2", twap_slices=4, twap_interval="0.3")
    )
    async with pair.baits(BTC):
        aimed = pair.arbitrage(BTC)
        await aimed.start()
        await aimed.end()
    pages = {
        "orders": "/",
        "order": f"/orders/{order.order_id}",
        "positions": "/positions",
        "arbitrages": "/arbitrage",
        "arbitrage": f"/arbitrage/{aimed.id}",
        "alarms": "/alarms?all=1",
        "status": "/status",
        "no-such-order": "/orders/nobody",
        "login": "/login",
    }
    browser.complaints()
    faults: dict[str, Any] = {}
    for name, address in pages.items():
        faults |= await asyncio.to_thread(_look_at, browser, name, address)
    assert {where: found for where, found in faults.items() if found} == {}
    print(f"pictures of every page: {PICTURES}")


async def test_ten_thousand_orders_cost_a_page_what_few_do(pair: Pair) -> None:
    world = pair.world
    async with _visitor(world) as client:
        few = await _seconds_of_a_page(client)
        async with _crowd(world):
            many = await _seconds_of_a_page(client)
            page = await client.get("/", params={"strategy_id": "crowd"})
            assert page.text.count("/orders/crowd-") == 25
    assert many < few * SLOWER_AT_MOST, f"{many:.3f} s with {MANY} orders, {few:.3f} s before"


async def test_a_page_comes_back_by_itself_when_the_api_was_restarted(
    pair: Pair, browser: Browser
) -> None:
    world = pair.world
    await asyncio.to_thread(browser.open, "/")
    await asyncio.to_thread(browser.driver.execute_script, "window.before = true")
    await world.stack.kill("api")
    gone = "return window.before === undefined && document.querySelectorAll('h1').length > 0"
    await asyncio.to_thread(
        browser.wait, lambda: browser.driver.execute_script(gone), "the page again", 30
    )
    order = await world.finish(await world.place())
    row = f'a[href="/orders/{order.order_id}"]'
    await asyncio.to_thread(browser.wait, lambda: browser.all(row), "the order", LIVE_WITHIN_S)


async def test_a_socket_needs_a_session_and_our_own_page(pair: Pair) -> None:
    world = pair.world
    url = world.stack.api_url
    socket = url.replace("http", "ws", 1) + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    async with _visitor(world) as client:
        cookie = {"Cookie": f"delta_session={client.cookies['delta_session']}"}
    for origin, headers in ((url, {}), ("http://evil.example", cookie)):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(socket, origin=origin, additional_headers=headers):
                pass
        assert refused.value.response.status_code == 403
    async with websockets.connect(socket, origin=url, additional_headers=cookie) as opened:
        assert str(await opened.recv()).startswith("0{")


# --- the browser ----------------------------------------------------------------------------------


def _until_progress(browser: Browser, css: str) -> None:
    def has_progress() -> bool:
        shares = re.findall(r"(\d+) %", browser.text(css))
        return bool(shares) and int(shares[0]) > 0

    browser.wait(has_progress, f"progress in {css}")


def _act(browser: Browser, label: str, reason: str) -> None:
    browser.one("button", label).click()
    _fill(browser, reason)
    browser.one(_DONE, label).click()
    browser.wait(lambda: not browser.all(".q-dialog__backdrop"), "it is done", DONE_WITHIN_S)


def _fill(browser: Browser, reason: str) -> None:
    browser.one(".ask h2")
    browser.one(".ask input").send_keys(reason)


def _sign_in(browser: Browser, key: str) -> None:
    browser.driver.delete_all_cookies()
    browser.open("/login")
    browser.one("#key").send_keys(key)
    browser.one("button", "Sign in").click()
    browser.wait(lambda: browser.text("h1") == "Orders", "the first page")


def _look_at(browser: Browser, name: str, address: str) -> dict[str, Any]:
    """A page's faults by theme, its width on a phone, and what the browser complains of."""
    browser.open(address)
    time.sleep(0.5)  # what a page reads after it was sent
    found: dict[str, Any] = {}
    found[f"{name}, light"] = browser.faults()
    browser.picture(f"{name}-light")
    browser.theme(is_dark=True)
    browser.picture(f"{name}-dark")
    browser.resize(NARROW)
    found[f"{name}, dark on a phone"] = browser.faults()
    found[f"{name}, pixels too wide"] = browser.overflow()
    browser.picture(f"{name}-phone")
    found[f"{name}, complaints"] = browser.complaints()
    return found


# --- the engine -----------------------------------------------------------------------------------


async def _has_audit(world: World, action: str, about: str) -> bool:
    rows = await AuditViews(world.database).newest()
    return any((row.action, row.object) == (action, about) for row in rows)


async def _with_keys(world: World, do: Callable[[KeyStore], Awaitable[object]]) -> None:
    engine = open_engine(world.stack.settings.dsn())
    try:
        await do(KeyStore(engine))
    finally:
        await engine.dispose()


@asynccontextmanager
async def _key(world: World, *scopes: Scope) -> AsyncIterator[tuple[str, str]]:
    """A key of these scopes, and its name."""
    key, name = new_key(), f"dashboard-{secrets.token_hex(4)}"
    await _with_keys(world, lambda keys: keys.create(key, name, scopes, by="test"))
    try:
        yield key.text, name
    finally:
        await _with_keys(world, lambda keys: keys.revoke(name, by="test"))


@asynccontextmanager
async def _visitor(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is signed in, without a browser."""
    url = world.stack.api_url
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
        assert (await client.get("/")).status_code == 200
        yield client


async def _seconds_of_a_page(client: httpx.AsyncClient) -> float:
    """How long the first page takes, in the middle of several."""
    took = []
    for _ in range(LOADS):
        began = time.monotonic()
        answer = await client.get("/")
        took.append(time.monotonic() - began)
        assert answer.status_code == 200
    return statistics.median(took)


_PLACE_CROWD = """
    INSERT INTO parent_orders (order_id, run_chain, body_hash, strategy_id, account, exchange,
        symbol, side, order_type, quantity, priority, request, status, created_at, updated_at,
        finished_at)
    SELECT 'crowd-' || n, 'crowd', 'crowd', 'crowd', 'main', 'binance', 'BTC/USDT', 'buy', 'limit',
        1, 3, '{}', 'cancelled', now() - interval '1 day' - n * interval '1 second', now(), now()
    FROM generate_series(1, 10000) AS n
"""


@asynccontextmanager
async def _crowd(world: World) -> AsyncIterator[None]:
    """MANY ended orders of somebody else, without the events that would tell of them."""
    engine = open_engine(world.stack.settings.owner_dsn())

    async def run(statement: str) -> None:
        async with engine.begin() as ledger:
            await ledger.execute(text("SET LOCAL session_replication_role = replica"))
            await ledger.execute(text(statement))

    try:
        await run(_PLACE_CROWD)
        await run("ANALYZE parent_orders")
        yield
    finally:
        await run("DELETE FROM parent_orders WHERE strategy_id = 'crowd'")
        await engine.dispose()
