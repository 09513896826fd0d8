"""Our order ids in each venue's writing: all bits there, within the venue's limits, and back."""

import re

import pytest

from activities.venues.dialects import DIALECTS
from workflows.domain.orders import client_order_id

# What each venue documents for the field that carries the id.
ALLOWED = {
    "binance": r"[a-zA-Z0-9-_]{1,36}",
    "binanceus": r"[a-zA-Z0-9-_]{1,36}",
    "okx": r"[a-zA-Z0-9]{1,32}",
    "bybit": r"[a-zA-Z0-9-_]{1,36}",
    "kraken": r"[0-9a-f]{32}",
    "coinbase": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "kucoin": r"[a-zA-Z0-9_-]{1,40}",
    "gate": r"t-[0-9A-Za-z_.-]{1,28}",
}
IDS = [client_order_id("order", index) for index in range(500)] + ["0" * 32, "f" * 32]


@pytest.mark.parametrize("venue", sorted(DIALECTS))
def test_an_id_fits_the_venue_and_comes_back_whole(venue: str) -> None:
    row = DIALECTS[venue]
    written = [row.render_id(canonical) for canonical in IDS]
    assert all(re.fullmatch(ALLOWED[venue], text) for text in written)
    assert [row.parse_id(text) for text in written] == IDS
    assert len(set(written)) == len(IDS)


@pytest.mark.parametrize("venue", sorted(DIALECTS))
@pytest.mark.parametrize(
    "text", [None, "", "by-hand", "t-", "T" * 32, "0" * 31, "t-" + "9" * 26, "api", "t-" + "a" * 25]
)
def test_other_texts_are_not_ours(venue: str, text: str | None) -> None:
    assert DIALECTS[venue].parse_id(text) is None


def test_two_texts_never_mean_the_same_order_of_gate() -> None:
    row = DIALECTS["gate"]
    written = row.render_id(IDS[0])
    others = [written[:-1] + last for last in "abcdefghijklmnopqrstuvwxyz234567"]
    assert [text for text in others if row.parse_id(text) == IDS[0]] == [written]
