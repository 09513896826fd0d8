"""Double entry: what a fill moves, and that it always balances."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.domain.exact import exact
from workflows.domain.orders import Side
from workflows.domain.postings import Account, Posting, postings_of
from workflows.domain.reports import Fill

_AMOUNTS = st.decimals(min_value="0.000000000000000001", max_value=10**17, places=18)


def a_fill(quantity: Decimal, price: Decimal, fee: Decimal, fee_asset: str) -> Fill:
    return Fill(
        trade_id="1",
        price=price,
        quantity=quantity,
        fee=fee,
        fee_asset=fee_asset,
        is_maker=False,
        traded_at_ms=0,
    )


def trading(postings: tuple[Posting, ...]) -> dict[str, Decimal]:
    moved: dict[str, Decimal] = {}
    for posting in postings:
        if posting.account is Account.TRADING:
            moved[posting.asset] = moved.get(posting.asset, Decimal(0)) + posting.amount
    return moved


@pytest.mark.parametrize(
    ("side", "fee_asset", "expected"),
    [
        (Side.BUY, "BTC", {"BTC": Decimal("1.999"), "USDT": Decimal(-200)}),
        (Side.SELL, "USDT", {"BTC": Decimal(-2), "USDT": Decimal("199.999")}),
        (Side.BUY, "BNB", {"BTC": Decimal(2), "USDT": Decimal(-200), "BNB": Decimal("-0.001")}),
    ],
)
def test_a_fill_moves_base_against_quote_and_pays_its_fee(
    side: Side, fee_asset: str, expected: dict[str, Decimal]
) -> None:
    fill = a_fill(Decimal(2), Decimal(100), Decimal("0.001"), fee_asset)
    assert trading(postings_of(fill, side=side, base="BTC", quote="USDT")) == expected


def test_a_rebate_enters_the_account() -> None:
    fill = a_fill(Decimal(2), Decimal(100), Decimal("-0.001"), "USDT")
    moved = trading(postings_of(fill, side=Side.BUY, base="BTC", quote="USDT"))
    assert moved["USDT"] == Decimal("-199.999")


def test_a_fill_without_fee_has_no_fee_postings() -> None:
    fill = a_fill(Decimal(2), Decimal(100), Decimal(0), "BNB")
    postings = postings_of(fill, side=Side.BUY, base="BTC", quote="USDT")
    assert {posting.asset for posting in postings} == {"BTC", "USDT"}


@given(
    quantity=_AMOUNTS,
    price=_AMOUNTS,
    fee=st.decimals(min_value=-1, max_value=1, places=18),
    side=st.sampled_from(Side),
    fee_asset=st.sampled_from(["BTC", "USDT", "BNB"]),
)
def test_postings_balance_and_carry_the_whole_value(
    quantity: Decimal, price: Decimal, fee: Decimal, side: Side, fee_asset: str
) -> None:
    fill = a_fill(quantity, price, fee, fee_asset)
    with exact():
        postings = postings_of(fill, side=side, base="BTC", quote="USDT")
        for asset in {posting.asset for posting in postings}:
            assert sum(each.amount for each in postings if each.asset == asset) == 0
        against_fees = trading(postings).get("USDT", Decimal(0))
        if fee_asset == "USDT":
            against_fees += fee
        assert against_fees == -side.sign * quantity * price
