"""What is shown: live totals, stable pages, figures for metrics, balances to the last digit."""

from decimal import Decimal

import pytest

from activities.ledger.views import InvalidCursorError
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    REFERENCE,
    SYMBOL,
    World,
    a_fill,
    a_report,
    an_intent,
    an_order,
)
from workflows.domain.lifecycle import ChildStatus, OrderStatus
from workflows.domain.orders import Side
from workflows.domain.reports import VenueStatus
from workflows.messages import OrderSnapshot


async def test_an_order_that_is_not_there_is_none(ledger: World) -> None:
    assert await ledger.views.order("nobody") is None


async def test_an_order_is_shown_with_fills_that_its_workflow_has_not_told(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.store.save_order(
        OrderSnapshot(order_id="order-1", status=OrderStatus.WORKING, reason="slice 1"),
        OrderStatus.WORKING,
    )
    fills = (a_fill("t1", "0.25", "40000"), a_fill("t2", "0.25", "50000", fee_asset="BNB"))
    await ledger.ack(intent, a_report(VenueStatus.OPEN, "0.5", *fills))
    shown = await ledger.views.order("order-1")
    assert shown is not None
    assert (shown.status, shown.reason) == (OrderStatus.WORKING, "slice 1")
    assert (shown.filled_quantity, shown.remaining_quantity) == (Decimal("0.5"), Decimal("4.5"))
    assert shown.average_price == 45_000
    assert shown.fees == {"BTC": Decimal("0.00025"), "BNB": Decimal("0.00025")}
    (child,) = shown.children
    assert (child.status, child.venue_order_id) == (ChildStatus.WORKING, "v1")
    assert (child.filled_quantity, child.average_price) == (Decimal("0.5"), Decimal(45_000))
    assert [fill.trade_id for fill in await ledger.views.fills("order-1")] == ["t1", "t2"]


async def test_only_the_newest_children_are_shown_oldest_first(ledger: World) -> None:
    await ledger.open("order-1")
    for index in range(25):
        await ledger.reserve(an_intent(index=index, quantity=Decimal("0.01")))
    shown = await ledger.views.order("order-1")
    assert shown is not None
    assert [child.index for child in shown.children] == list(range(5, 25))
    assert shown.children_total == 25


async def test_pages_show_every_order_once_newest_first(ledger: World) -> None:
    ids = [f"order-{number:02}" for number in range(11)]
    for order_id in ids:
        await ledger.store.open_parent(order_id, "chain", an_order())
    seen: list[str] = []
    cursor, more = None, True
    while more:
        page, cursor = await ledger.views.orders(limit=4, cursor=cursor)
        seen += [order.order_id for order in page]
        more = cursor is not None
    assert seen == list(reversed(ids))


async def test_an_order_that_arrives_between_pages_does_not_shift_them(ledger: World) -> None:
    for order_id in ("a", "b", "c"):
        await ledger.store.open_parent(order_id, "chain", an_order())
    first, cursor = await ledger.views.orders(limit=2)
    await ledger.store.open_parent("d", "chain", an_order())
    second, end = await ledger.views.orders(limit=2, cursor=cursor)
    assert [order.order_id for order in (*first, *second)] == ["c", "b", "a"]
    assert end is None


async def test_filters_select_by_each_field(ledger: World) -> None:
    await ledger.open("one")
    await ledger.store.open_parent("two", "chain", an_order(strategy_id="s2", symbol="ETH/USDT"))
    for wanted, expected in (
        ({"strategy_id": "s2"}, ["two"]),
        ({"symbol": SYMBOL}, ["one"]),
        ({"status": "accepted"}, ["one"]),
        ({"exchange": EXCHANGE}, ["two", "one"]),
        ({"exchange": "okx"}, []),
        ({"strategy_id": "s2", "status": "accepted"}, []),
    ):
        page, _ = await ledger.views.orders(**wanted)  # type: ignore[arg-type] # names of filters
        assert [order.order_id for order in page] == expected, wanted


@pytest.mark.parametrize(
    "cursor",
    ["garbage", "", "é", "e30=", "WzEsMl0=", "WyIyMDI2LTAxLTAxIiwieCJd", "x" * 1000,
     "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwieCJd"],
)  # fmt: skip
async def test_a_cursor_that_is_not_ours_is_refused(ledger: World, cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        await ledger.views.orders(cursor=cursor)


async def test_orders_are_counted_by_what_became_of_them(ledger: World) -> None:
    for number, filled in enumerate((Decimal(0), Decimal(1), Decimal(2))):
        await ledger.open(f"o{number}")
        end = OrderSnapshot(
            order_id=f"o{number}", status=OrderStatus.EXPIRED, filled_quantity=filled
        )
        await ledger.store.save_order(end, OrderStatus.EXPIRED)
    await ledger.open("working")
    counts = {
        (each.order_type, each.exchange, each.status, each.has_fills): each.count
        for each in await ledger.views.order_counts()
    }
    assert counts == {
        ("twap", EXCHANGE, "expired", False): 1,
        ("twap", EXCHANGE, "expired", True): 2,
        ("twap", EXCHANGE, "accepted", False): 1,
    }


async def test_durations_of_finished_orders_fall_into_their_buckets(ledger: World) -> None:
    for order_id, seconds in (("a", "0.5"), ("b", "5"), ("c", "6"), ("d", "100")):
        await ledger.open(order_id)
        await ledger.rows(
            "UPDATE parent_orders SET finished_at = created_at + $2 * interval '1 s' "
            "WHERE order_id = $1",
            order_id,
            int(Decimal(seconds) * 2) / 2,
        )
    await ledger.open("unfinished")
    await ledger.store.open_parent("denied", "chain", an_order())
    await ledger.rows("UPDATE parent_orders SET finished_at = now() WHERE order_id = 'denied'")
    (histogram,) = await ledger.views.order_durations([Decimal(1), Decimal(10)])
    assert histogram.counts == (1, 2, 1)
    assert histogram.total_s == Decimal("111.5")


async def test_balances_are_the_opening_plus_what_fills_moved(ledger: World) -> None:
    opening = {"USDT": Decimal(1_000_000), "ETH": Decimal(3)}
    record = ledger.store.record_opening_balances
    assert await record(EXCHANGE, ACCOUNT, opening)
    assert not await record(EXCHANGE, ACCOUNT, {"USDT": Decimal(1)})
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.FILLED, "1", a_fill("t1", "1", "50000.01")))
    await ledger.store.book_external(
        EXCHANGE, ACCOUNT, SYMBOL, "v9", Side.SELL,
        [a_fill("t2", "0.5", "40000", fee=Decimal(20), fee_asset="USDT")],
        base="BTC", quote="USDT",
    )  # fmt: skip
    assert await ledger.views.balances_from_ledger(EXCHANGE, ACCOUNT) == {
        "BTC": Decimal("0.499"),
        "ETH": Decimal(3),
        "USDT": Decimal("969979.99"),
    }


async def test_an_account_that_opens_empty_is_opened_all_the_same(ledger: World) -> None:
    assert await ledger.store.record_opening_balances("okx", "main", {})
    assert not await ledger.store.record_opening_balances("okx", "main", {"USDT": Decimal(5)})
    assert await ledger.views.balances_from_ledger("okx", "main") == {}


async def test_readiness_shows_what_a_claim_would_see(ledger: World) -> None:
    await ledger.store.set_readiness("okx", "main", True, Decimal(0), "stale")
    shown = {each.exchange: each for each in await ledger.views.readiness()}
    assert shown[EXCHANGE].ready
    assert not shown["okx"].ready
    assert shown["okx"].reason == "stale"


async def test_an_alarm_is_raised_once_until_it_is_acknowledged(ledger: World) -> None:
    for _ in range(2):
        await ledger.store.raise_alarm("UNKNOWN_AGE", "child-1", "5 min")
    await ledger.store.raise_alarm("UNKNOWN_AGE", "child-2", "5 min")
    assert [alarm.object for alarm in await ledger.views.alarms()] == ["child-2", "child-1"]
    await ledger.rows("UPDATE alarms SET acknowledged_at = now()")
    await ledger.store.raise_alarm("UNKNOWN_AGE", "child-1", "again")
    assert len(await ledger.views.alarms()) == 1
    assert len(await ledger.views.alarms(include_acknowledged=True)) == 3


async def test_cursors_are_kept_by_account_and_symbol(ledger: World) -> None:
    for symbol, trade_id in (("BTC/USDT", "7"), ("ETH/USDT", "3"), ("BTC/USDT", "9")):
        await ledger.store.save_cursor(EXCHANGE, ACCOUNT, symbol, trade_id)
    await ledger.store.save_cursor(EXCHANGE, "other", "BTC/USDT", "1")
    expected = {"BTC/USDT": "9", "ETH/USDT": "3"}
    assert await ledger.store.load_cursors(EXCHANGE, ACCOUNT) == expected


async def test_a_denied_order_shows_its_code_and_field(ledger: World) -> None:
    request = an_order(price=Decimal(90_000))
    await ledger.store.open_parent("o", "chain", request)
    await ledger.store.accept_parent("o", request, REFERENCE)
    shown = await ledger.views.order("o")
    assert shown is not None
    assert (shown.status, shown.code, shown.field) == (
        OrderStatus.DENIED,
        "RISK_PRICE_COLLAR",
        "price",
    )
