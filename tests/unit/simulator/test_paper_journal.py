"""The journal: torn writes are cut, damage stops the start, and the judge reads the same."""

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from activities.venues.simulator.config import PaperAccount, PaperExchangeConfig
from activities.venues.simulator.engine import Engine
from activities.venues.simulator.journal import Journal, JournalError, read_records
from activities.venues.simulator.judge import read_log
from activities.venues.simulator.orders import NewOrder, OrderType, Side
from activities.venues.simulator.runtime import PaperExchange

D = Decimal
PAIR = "BTC/USDT"
START_LIMIT_S = 3.0


def exchange(data_dir: Path) -> PaperExchange:
    account = PaperAccount(api_key="key", secret="secret")
    return PaperExchange(
        PaperExchangeConfig(
            name="binance", data_dir=data_dir, accounts={"main": account}, live_market=False
        )
    )


def place(engine: Engine, number: int, price: str | None = None, quantity: str = "0.01") -> None:
    kind = OrderType.LIMIT if price else OrderType.MARKET
    wanted = NewOrder(
        client_order_id=f"c{number}",
        symbol=PAIR,
        side=Side.BUY if number % 2 else Side.SELL,
        type=kind,
        price=D(price or 0),
        quantity=D(quantity),
    )
    engine.place("main", wanted, number)


def trade_and_stop(data_dir: Path) -> Path:
    """A market order that took three levels or more, committed as one batch at the end."""
    made = exchange(data_dir)
    place(made.engine, 1, "49000")
    made.commit()
    place(made.engine, 3, quantity="0.5")
    made.commit()
    made.close()
    return made.journal.path


def test_a_batch_cut_at_any_byte_is_gone_whole_and_what_was_before_it_stays(
    tmp_path: Path,
) -> None:
    path = trade_and_stop(tmp_path / "made")
    data = path.read_bytes()
    last_batch = data.rindex(b'"commit":true}\n', 0, len(data) - 1) + len(b'"commit":true}\n')
    for number, cut in enumerate(range(last_batch, len(data), 97)):
        copy = tmp_path / str(number) / path.name
        copy.parent.mkdir()
        copy.write_bytes(data[:cut])
        journal = Journal(copy.parent)
        events = list(journal.replay())
        journal.close()
        assert copy.read_bytes() == data[:last_batch]
        assert [getattr(event, "client_order_id", "") for event in events][-1] == "c1"


def test_after_a_cut_the_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = trade_and_stop(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"seq":999,"ts_ms":1,"kind":"ord')
    again = exchange(tmp_path)
    place(again.engine, 5, "48000")
    again.commit()
    again.close()
    seqs = [record["seq"] for record in read_records(path)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert list(read_log(path).order_counts()) == ["c1", "c3", "c5"]


def test_damage_before_the_end_stops_the_start_and_names_the_line(tmp_path: Path) -> None:
    path = trade_and_stop(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b'{"seq":2,"kind":"order"}\n'
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match="line 2"):
        exchange(tmp_path)


def test_a_data_folder_serves_one_exchange_at_a_time(tmp_path: Path) -> None:
    first = exchange(tmp_path)
    with pytest.raises(JournalError, match="in use"):
        exchange(tmp_path)
    first.close()
    exchange(tmp_path).close()


def test_an_exchange_whose_journal_fails_goes_no_further(tmp_path: Path) -> None:
    made = exchange(tmp_path)
    made.journal.close()
    place(made.engine, 1, "49000")
    with pytest.raises(JournalError):
        made.commit()
    assert made.broken.is_set()
    with pytest.raises(JournalError):
        made.commit()


def test_existing_accounts_keep_their_balances_over_a_restart(tmp_path: Path) -> None:
    trade_and_stop(tmp_path)
    again = exchange(tmp_path)
    balances = again.engine.state.accounts.balances["main"]
    judged = read_log(again.journal.path).final_balances("main")
    assert balances["BTC"].free == judged["BTC"].free == 1000 + D("0.5") * D("0.999")
    assert balances["USDT"].locked == judged["USDT"].locked == 490
    again.close()


def test_trade_ids_go_on_after_a_restart_also_past_trades_of_the_market_alone(
    tmp_path: Path,
) -> None:
    made = exchange(tmp_path)
    for _ in range(300):
        made.step(0.2)
    public = [trade.trade_id for trade in made.engine.tapes[PAIR].recent]
    made.close()
    again = exchange(tmp_path)
    place(again.engine, 1)
    own = again.engine.state.trades_of("main", PAIR)
    assert min(trade.trade_id for trade in own) > max(public)
    again.close()


def test_the_markets_own_churn_is_not_written(tmp_path: Path) -> None:
    made = exchange(tmp_path)
    size = made.journal.path.stat().st_size
    for _ in range(2_000):
        made.step(0.2)
    assert made.journal.path.stat().st_size - size < 2_000
    made.close()


def test_a_journal_of_a_busy_hour_is_read_within_the_limit(tmp_path: Path) -> None:
    made = exchange(tmp_path)
    request = {"ts_ms": 0, "kind": "request", "method": "GET", "path": "/", "account": None}
    request |= {"params": {"symbol": "BTCUSDT"}, "status": 200, "code": 0}
    for number in range(18_000):  # five orders and twenty requests a second
        place(made.engine, number)
        made.commit(dict(request))
        for _ in range(3):
            made.commit(dict(request))
        if not number % 5:
            made.step(0.2)
    executed = made.engine.state.orders[18_000].executed
    made.close()
    began = time.process_time()  # CPU time: what else the machine does is not the exchange's doing
    again = exchange(tmp_path)
    took_s = time.process_time() - began
    assert again.engine.state.orders[18_000].executed == executed
    again.close()
    assert took_s < START_LIMIT_S


def test_a_request_that_looks_like_an_event_changes_nothing(tmp_path: Path) -> None:
    made = exchange(tmp_path)
    record = {"ts_ms": 0, "kind": "request", "params": {"x": '"kind":"order"\n'}}
    made.commit(record)
    made.close()
    again = exchange(tmp_path)
    assert again.engine.state.orders == {}
    again.close()


def test_records_of_one_command_are_one_batch(tmp_path: Path) -> None:
    path = trade_and_stop(tmp_path)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    batch = [record for record in records if record.get("client_order_id") == "c3"]
    assert batch[0]["kind"] == "order"
    assert [record["commit"] for record in batch] == [False] * (len(batch) - 1) + [True]
    assert len(batch) > 4


def test_a_journal_from_before_an_order_had_a_trigger_can_be_read(tmp_path: Path) -> None:
    path = trade_and_stop(tmp_path)
    later = {"stop_price", "trailing_delta", "iceberg_quantity", "lock_price", "extreme", "list_id"}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert any(later & row.keys() for row in rows)
    older = [{name: row[name] for name in row if name not in later} for row in rows]
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in older))
    made = exchange(tmp_path)
    (waiting,) = made.engine.state.open_orders("main")
    assert (waiting.client_order_id, waiting.stop_price, waiting.list_id) == ("c1", D(0), -1)
    assert read_log(path).contradictions() == []
    made.close()
