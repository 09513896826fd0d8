"""Questions for public facts: each has an id of its own, which Temporal takes."""

import pytest

from starters.public_calls import symbols_id
from workflows.fields import MAX_TEXT
from workflows.ports.public_data import SymbolsRequest

LONGEST = 1000
"""Bytes of an id that Temporal takes."""


def an_id(symbol: str | None = None, after: str = "", limit: int = 500) -> str:
    return symbols_id(
        SymbolsRequest(venue="binance", account="main", symbol=symbol, after=after, limit=limit)
    )


@pytest.mark.parametrize("text", ["\N{BANK}" * MAX_TEXT, "B" * MAX_TEXT, "BTC/USDT+5"])
def test_any_text_that_is_asked_for_makes_an_id(text: str) -> None:
    for id in (an_id(symbol=text), an_id(after=text)):
        assert len(id.encode()) <= LONGEST


def test_other_questions_have_other_ids() -> None:
    asked = [(None, "BTC/USDT", 5), ("BTC/USDT+5", "", 5), ("BTC/USDT", "", 5), (None, "", 5)]
    assert len({an_id(*each) for each in asked}) == len(asked)
    assert an_id("BTC/USDT") == "read-symbols:binance:BTC/USDT"
