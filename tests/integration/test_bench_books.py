"""The benchmark of the books measures every kind of read on a ledger that it generates."""

import asyncpg
import pytest

from tests.bench import books
from tests.bench.figures import MEASURES


async def test_every_measure_of_the_books_is_taken_and_nothing_is_left(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "FEW", 100)
    monkeypatch.setattr(books, "CALLS", dict.fromkeys(books.CALLS, 1))
    taken = await books.measured(postgres_url, 1_000)
    assert [each.name for each in taken] == [n for n in MEASURES if n.startswith("books")]
    assert all(each.value > 0 and each.baseline for each in taken)
    connection = await asyncpg.connect(postgres_url)
    left = await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname LIKE 'bench%'")
    await connection.close()
    assert left == 0
