"""Waiting orders, icebergs and lists after a restart: they wait on, and the judge agrees."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from activities.venues.simulator.config import PaperAccount, PaperExchangeConfig
from activities.venues.simulator.judge import VenueLog, read_log
from activities.venues.simulator.orders import NewOrder, NewOrderList, OrderType, Side
from activities.venues.simulator.runtime import PaperExchange

D = Decimal
PAIR = "BTC/USDT"
SELL = Side.SELL


def exchange(data_dir: Path) -> PaperExchange:
    """Whatever was not written before stays unknown: nothing is flushed at the end."""
    account = PaperAccount(api_key="key", secret="secret")
    return PaperExchange(
        PaperExchangeConfig(
            name="binance", data_dir=data_dir, accounts={"main": account}, live_market=False
        )
    )


def order(name: str, kind: OrderType, price: str = "0", **terms: object) -> NewOrder:
    return NewOrder(
        client_order_id=name,
        symbol=PAIR,
        side=SELL,
        type=kind,
        price=D(price),
        quantity=D("0.1"),
        **terms,
    )


def tick(made: PaperExchange, price: str) -> None:
    made.engine.print_trade(PAIR, SELL, D(price), D("0.01"), 5)
    made.commit()


def agree(made: PaperExchange) -> VenueLog:
    """The judge's figures are the exchange's own, and its log does not contradict itself."""
    log = read_log(made.journal.path)
    assert log.contradictions() == []
    held = made.engine.state.accounts.balances["main"]
    judged = log.final_balances("main")
    assert {asset: (each.free, each.locked) for asset, each in judged.items()} == {
        asset: (each.free, each.locked) for asset, each in held.items()
    }
    return log


@pytest.fixture
def reopened(tmp_path: Path) -> Callable[[PaperExchange | None], PaperExchange]:
    def again(before: PaperExchange | None) -> PaperExchange:
        if before is not None:
            before.close()
        return exchange(tmp_path)

    return again


Reopened = Callable[[PaperExchange | None], PaperExchange]


def test_a_trailing_order_remembers_the_best_price_that_it_has_seen(reopened: Reopened) -> None:
    made = reopened(None)
    made.engine.place("main", order("t", OrderType.STOP_LOSS, trailing_delta=100), 1)
    made.commit()
    tick(made, "60000")
    made = reopened(made)
    (waiting,) = made.engine.state.waiting(PAIR)
    assert (waiting.extreme, waiting.is_waiting) == (D(60000), True)
    tick(made, "59401")
    assert waiting.is_waiting
    tick(made, "59400")
    assert not waiting.is_waiting
    (judged,) = agree(made).orders_named("t")
    assert (judged.triggered_by, judged.status) == (D(59400), "FILLED")
    made.close()


def test_a_list_still_cancels_its_other_order(reopened: Reopened) -> None:
    made = reopened(None)
    above = order("xa", OrderType.LIMIT_MAKER, "55000")
    below = order("xb", OrderType.STOP_LOSS_LIMIT, "47000", stop_price=D(48000))
    wanted = NewOrderList(client_order_id="x", above=above, below=below)
    made.engine.place_list("main", wanted, 1)
    made.commit()
    agree(made)
    made = reopened(made)
    agree(made)
    limit = made.engine.state.find("main", PAIR, None, "xa")
    assert limit is not None
    made.engine.fill_resting(limit, D("0.04"), 5)
    made.commit()
    log = agree(made)
    (judged,) = log.lists_named("x")
    orders = log.orders_of_list(judged.list_id)
    assert {each.client_order_id: each.status for each in orders} == {
        "xa": "PARTIALLY_FILLED",
        "xb": "EXPIRED",
    }
    assert not judged.is_done
    assert log.duplicates() == {}
    made.close()


def test_an_iceberg_hides_what_is_left_of_it(reopened: Reopened) -> None:
    made = reopened(None)
    made.engine.place("main", order("i", OrderType.LIMIT, "60000", iceberg_quantity=D("0.03")), 1)
    made.commit()
    found = made.engine.state.find("main", PAIR, None, "i")
    assert found is not None
    made.engine.fill_resting(found, D("0.04"), 5)
    made.commit()
    made = reopened(made)
    depth = dict(made.engine.books[PAIR].depth(SELL, 5_000))
    assert depth[D(60000)] == D("0.03")
    (judged,) = agree(made).orders_named("i")
    assert (judged.iceberg_quantity, judged.executed) == (D("0.03"), D("0.04"))
    made.close()
