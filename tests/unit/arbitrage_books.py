"""Two venues and a plan that is worth entering, for the tests of how an arbitrage begins."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from workflows.domain.arbitrage_entry import Entry, EntryTerms, VenueFacts, plan_entry
from workflows.domain.books import Book, Level
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.instruments import Instrument

RULES = Instrument(
    venue="east",
    symbol="BTC/USDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    step=Decimal("0.0001"),
    min_quantity=Decimal("0.0001"),
    max_quantity=None,
    min_notional=Decimal(10),
    is_trading=True,
)
TERMS = EntryTerms(
    amount=Decimal(1),
    buy_price=Decimal(50_000),
    sell_price=Decimal(50_300),
    buy_limit=None,
    sell_limit=None,
    limit_tolerance=Decimal("0.001"),
    slippage_tolerance=Decimal("0.002"),
    buy_slippage=None,
    sell_slippage=None,
    min_profit=Decimal(0),
    min_profit_worst=None,
    max_loss_bps=Decimal(50),
    max_notional=None,
    buy_is_market=False,
    sell_is_market=False,
)


def levels(*pairs: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(price=Decimal(price), quantity=Decimal(size)) for price, size in pairs)


def venue(name: str, bids: Any, asks: Any, **changes: Any) -> VenueFacts:
    """A venue with this book; names of its rules may be changed as well."""
    names = {key for key in changes if hasattr(RULES, key)}
    rules = replace(RULES, venue=name, **{key: changes.pop(key) for key in names})
    usual = VenueFacts(
        instrument=rules,
        book=Book(bids=levels(*bids), asks=levels(*asks), read_at_ms=0),
        taker_fee=Decimal("0.001"),
        buys_pay_base=False,
        free_base=Decimal(100),
        free_quote=Decimal(10_000_000),
    )
    return replace(usual, **changes)


def east(*asks: tuple[str, str], **changes: Any) -> VenueFacts:
    """Where it is bought: these asks, 50000 for 5 by default."""
    return venue("east", [("49990", "5")], asks or [("50000", "5")], **changes)


def west(*bids: tuple[str, str], **changes: Any) -> VenueFacts:
    """Where it is sold: these bids, 50300 for 6 by default."""
    return venue("west", bids or [("50300", "6")], [("50310", "5")], **changes)


def entered(buy: VenueFacts, sell: VenueFacts, **terms: Any) -> Entry:
    answer = plan_entry(replace(TERMS, **terms), buy, sell)
    assert isinstance(answer, Entry), str(answer)
    return answer


def refused(buy: VenueFacts, sell: VenueFacts, **terms: Any) -> tuple[DenialCode, str | None, str]:
    answer = plan_entry(replace(TERMS, **terms), buy, sell)
    assert isinstance(answer, Denied)
    return answer.code, answer.field, answer.detail
