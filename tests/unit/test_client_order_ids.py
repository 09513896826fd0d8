"""Client order ids: pure functions of what they name, the same for ever, and never shared."""

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.message_strategies import UNDISTURBED
from workflows.domain.orders import (
    ChildType,
    OrderType,
    Placement,
    Side,
    TimeInForce,
    client_order_id,
)

# A workflow that is started directly may have any id, line breaks and digits included.
order_ids = st.one_of(st.text(max_size=8), st.text("a0\n1-", max_size=8)).filter(
    lambda text: text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
)
names = st.tuples(order_ids, st.integers(0, 6_000), st.integers(0, 20))


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        # printf 'order-1\n0\n0' | sha256sum, and so on: an id in flight must be found again
        (("order-1", 0, 0), "4283d80470efbef9927e6d9dd08f68cd"),
        (("order-1", 1, 0), "cf214bd130e8f8146ef41e849f172c4f"),
        (("order-1", 0, 1), "d753f11add4b93316b9377db88d2f730"),
        (("twap-2020-02-22.a", 4999, 3), "1f88d1f4ead3f3fb90eb5a48c2abfb70"),
    ],
)
def test_an_id_never_changes(name: tuple[str, int, int], pinned: str) -> None:
    assert client_order_id(*name) == pinned


def test_another_process_derives_the_same_id() -> None:
    code = "from workflows.domain.orders import client_order_id as c; print(c('order-1', 7))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == client_order_id("order-1", 7)


@UNDISTURBED
@given(names)
def test_an_id_is_128_bits_in_lower_case_hex(name: tuple[str, int, int]) -> None:
    derived = client_order_id(*name)
    assert len(derived) == 32
    assert set(derived) <= set("0123456789abcdef")
    assert derived == client_order_id(*name)


@UNDISTURBED
@given(names, names)
def test_distinct_orders_have_distinct_ids(
    one: tuple[str, int, int], other: tuple[str, int, int]
) -> None:
    assert (client_order_id(*one) == client_order_id(*other)) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", 1, 0), ("a\n1", 0, 0)),
        (("a\n1", 0, 0), ("a", 10, 0)),
        (("a", 1, 11), ("a", 11, 1)),
        (("a1", 1, 0), ("a", 11, 0)),
        (("", 0, 0), ("\n0", 0, 0)),
    ],
)
def test_an_id_cannot_be_made_to_look_like_anothers_child(
    one: tuple[str, int, int], other: tuple[str, int, int]
) -> None:
    assert client_order_id(*one) != client_order_id(*other)


def test_the_children_of_a_long_order_all_differ() -> None:
    ids = {
        client_order_id("order-1", index, generation)
        for index in range(5_000)
        for generation in (0, 1)
    }
    assert len(ids) == 10_000


def test_the_generation_is_0_when_it_is_not_named() -> None:
    assert client_order_id("order-1", 3) == client_order_id("order-1", 3, 0)
    assert client_order_id("order-1", 3) in hashlib.sha256(b"order-1\n3\n0").hexdigest()


def test_the_side_has_the_sign_of_the_base_position() -> None:
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)


def test_the_words_of_an_order_are_those_of_its_json() -> None:
    assert list(Side) == ["buy", "sell"]
    assert (Side.BUY.opposite, Side.SELL.opposite) == ("sell", "buy")
    protective = ["stop_loss", "take_profit", "trailing_stop", "oco"]
    assert list(OrderType) == ["market", "limit", "twap", "iceberg", *protective]
    assert [kind for kind in OrderType if kind.is_triggered] == protective
    assert list(TimeInForce) == ["GTC", "IOC", "FOK"]
    assert list(Placement) == ["auto", "native", "engine"]
    triggered = ["stop_loss", "stop_loss_limit", "take_profit", "take_profit_limit"]
    assert list(ChildType) == ["market", "limit", *triggered, "oco"]
