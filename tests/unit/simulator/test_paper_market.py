"""Prices, the market maker and the flow of other traders."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from activities.venues.simulator.engine import Engine
from activities.venues.simulator.market import Market, build_feeds
from activities.venues.simulator.market_maker import MarketMaker
from activities.venues.simulator.orders import NewOrder, OrderStatus, OrderType, Side
from activities.venues.simulator.price_feeds import ReplayPrices, SyntheticPrices, read_trades
from activities.venues.simulator.price_paths import FairPath, OffsetPath
from activities.venues.simulator.specs import SymbolSpec, fees_of, symbols_of
from activities.venues.simulator.state import ExchangeState

D = Decimal
PAIR = "BTC/USDT"
STEP_S = 0.2
FEES = D("0.004")
"""What a gap must exceed to be worth anything: twice the fees of two takers."""
HEADER = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
SAMPLE = HEADER + "".join(
    f"binance-futures,BTCUSDT,{1_582_329_602_000_000 + second * 1_000_000},0,{second},"
    f"{'buy' if second % 2 else 'sell'},{9_680 + second},0.132\n"
    for second in range(10)
)


def spec() -> SymbolSpec:
    return symbols_of("binance", [PAIR])[0]


def market(
    seed: int = 7, replay: Path | None = None, speed: float = 1, venue: str = "binance"
) -> tuple[Engine, Market]:
    specs = symbols_of("binance")
    by_name = {each.name: each for each in specs}
    engine = Engine(ExchangeState(by_name), fees_of("binance"))
    made = Market(by_name, build_feeds(specs, seed, venue, replay, speed), seed, venue)
    made.open(engine, 0)
    engine.open_account("main", {"BTC": D(100), "USDT": D(10_000_000)}, 0)
    return engine, made


def order(engine: Engine, side: Side, quantity: str, price: Decimal | None = None) -> int:
    wanted = NewOrder(
        client_order_id=f"c{engine.state.last_order_id}",
        symbol=PAIR,
        side=side,
        type=OrderType.LIMIT if price else OrderType.MARKET,
        price=price or D(0),
        quantity=D(quantity),
    )
    return engine.place("main", wanted, 0)[0].order_id


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_synthetic_prices_and_quotes_stay_within_one_percent_of_the_anchor(seed: int) -> None:
    engine, made = market(seed)
    anchor = spec().anchor
    feed = SyntheticPrices(spec(), seed, "binance")
    for _ in range(100_000):
        (move,) = feed.advance(STEP_S)
        assert abs(move.fair / anchor - 1) < D("0.0075")
    for step in range(500):
        made.advance(engine, STEP_S, step)
        for side in Side:
            for price, _ in engine.books[PAIR].depth(side, 1_000):
                assert abs(price / anchor - 1) < D("0.01")


def test_the_same_seed_gives_the_same_market_and_another_seed_another() -> None:
    seen = []
    for seed in (7, 7, 8):
        engine, made = market(seed)
        for step in range(300):
            made.advance(engine, STEP_S, step)
        seen.append((list(engine.tapes[PAIR].recent), engine.books[PAIR].depth(Side.BUY, 100)))
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def prices(venue: str, seed: int, steps: int) -> list[Decimal]:
    feed = SyntheticPrices(spec(), seed, venue)
    return [move.fair for _ in range(steps) for move in feed.advance(STEP_S)]


def gaps(seed: int, steps: int) -> list[Decimal]:
    """The difference of two venues' prices at each step, relative to the first."""
    pairs = zip(prices("binance", seed, steps), prices("okx", seed, steps), strict=True)
    return [one / other - 1 for one, other in pairs]


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_two_venues_prices_part_beyond_their_fees_and_meet_again(seed: int) -> None:
    hour = gaps(seed, int(3_600 / STEP_S))
    assert 0.05 < sum(abs(gap) > FEES for gap in hour) / len(hour) < 0.40
    openings, is_open, longest, since = 0, False, 0, 0
    for step, gap in enumerate(hour):
        if not is_open and abs(gap) > FEES:
            openings, is_open, since = openings + 1, True, step
        elif is_open and abs(gap) < FEES / 4:
            is_open, longest = False, max(longest, step - since)
    assert openings >= 8
    assert longest * STEP_S < 600
    assert {gap > 0 for gap in hour if abs(gap) > FEES} == {True, False}, "in both directions"


@pytest.mark.parametrize("venue", ["binance", "okx"])
def test_a_venues_path_is_its_seeds_and_its_names_alone(venue: str) -> None:
    assert prices(venue, 7, 500) == prices(venue, 7, 500)
    assert prices(venue, 7, 500) != prices(venue, 8, 500)


def test_prices_start_at_the_anchor_and_move_by_little_at_a_time() -> None:
    path = [spec().anchor, *prices("okx", 7, 10_000)]
    steps = [abs(after / before - 1) for before, after in pairwise(path)]
    assert max(steps) < D("0.0005")
    in_five_s = [abs(path[at + 25] / path[at] - 1) for at in range(0, 9_900, 25)]
    assert sum(in_five_s) / len(in_five_s) < D("0.0006")


def test_venues_share_what_is_not_their_own_offset() -> None:
    fair, again = FairPath(7, PAIR), FairPath(7, PAIR)
    assert [fair.step() for _ in range(100)] == [again.step() for _ in range(100)]
    for venue in ("binance", "okx"):
        fair, offset = FairPath(7, PAIR), OffsetPath(7, PAIR, venue)
        expected = [fair.step() + offset.step() for _ in range(1_000)]
        for price, distance in zip(prices(venue, 7, 1_000), expected, strict=True):
            assert abs(price / spec().anchor - 1 - D(repr(distance))) < D("0.000001")


def test_prices_move_and_trades_happen() -> None:
    engine, made = market()
    for step in range(600):
        made.advance(engine, STEP_S, step)
    prices = {trade.price for trade in engine.tapes[PAIR].recent}
    assert len(prices) > 10
    assert {trade.taker_side for trade in engine.tapes[PAIR].recent} == set(Side)


def test_a_large_market_order_moves_the_price_and_the_maker_refills() -> None:
    engine, made = market()
    before = engine.books[PAIR].best(Side.SELL)
    bought = engine.state.orders[order(engine, Side.BUY, "2")]
    after = engine.books[PAIR].best(Side.SELL)
    assert bought.status is OrderStatus.FILLED
    assert before is not None
    assert after is not None
    assert D("0.00005") < after / before - 1 < D("0.002")
    for step in range(100):
        made.advance(engine, STEP_S, step)
    refilled = engine.books[PAIR].depth(Side.SELL, 20)
    assert sum(quantity for _, quantity in refilled) > 2


def test_eaten_levels_come_back_bit_by_bit() -> None:
    engine, _ = market()
    fair = spec().anchor
    maker = MarketMaker(spec(), fair, seed="1")
    engine.flow(PAIR, Side.SELL, D(1_000), None, 0)
    maker.requote(engine, fair, 0)
    full = len(engine.books[PAIR].depth(Side.BUY, 1_000))
    engine.flow(PAIR, Side.SELL, D(3), None, 0)
    counts = []
    for step in range(60):
        maker.requote(engine, fair, step)
        counts.append(len(engine.books[PAIR].depth(Side.BUY, 1_000)))
    assert counts[0] < full
    assert counts[-1] == full


def test_an_order_at_the_touch_waits_behind_the_maker_and_is_filled_in_parts() -> None:
    engine, made = market()
    ((best, ahead),) = engine.books[PAIR].depth(Side.BUY, 1)
    order_id = order(engine, Side.BUY, "3", best)
    resting = engine.state.orders[order_id]
    engine.flow(PAIR, Side.SELL, ahead, best, 0)
    assert resting.executed == 0
    parts = set()
    for step in range(3_000):
        made.advance(engine, STEP_S, step)
        parts.add(resting.executed)
    assert resting.status is OrderStatus.FILLED
    assert len(parts) > 3


def test_replayed_trades_move_the_price_and_the_rest_stays_synthetic(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_text(SAMPLE)
    engine, made = market(replay=file)
    assert engine.tapes[PAIR].last == 9_680
    for step in range(5):
        made.advance(engine, 1.0, step)
    assert abs(engine.tapes[PAIR].last - 9_685) <= 1
    assert abs(engine.tapes["ETH/USDT"].last / 2_500 - 1) < D("0.01")


def test_a_replayed_price_that_passes_an_order_fills_it(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_text(SAMPLE)
    engine, made = market(replay=file)
    order_id = order(engine, Side.SELL, "0.5", D(9_686))
    made.advance(engine, 4.0, 1)
    assert engine.state.orders[order_id].executed == 0
    made.advance(engine, 4.0, 2)
    assert engine.state.orders[order_id].status is OrderStatus.FILLED


def test_replayed_prices_differ_between_venues_by_their_offsets(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_text(SAMPLE)
    specs, seen = symbols_of("binance"), []
    for venue in ("binance", "okx"):
        feed = build_feeds(specs, 7, venue, file, 1.0)[PAIR]
        assert feed.start == 9_680
        seen.append([move.fair for _ in range(20_000) for move in feed.advance(STEP_S)])
    gap = [abs(one / other - 1) for one, other in zip(*seen, strict=True)]
    assert gap[0] < D("0.0001")
    assert max(gap) > FEES


def test_one_recorded_trade_is_a_price_that_stands_still(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_text(SAMPLE.splitlines()[0] + "\n" + SAMPLE.splitlines()[1] + "\n")
    feed = build_feeds(symbols_of("binance"), 7, "okx", file, 1.0)[PAIR]
    assert {move.fair for _ in range(5_000) for move in feed.advance(STEP_S)} == {D(9_680)}


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_replay_keeps_its_pace_and_begins_again_after_the_last_trade(
    tmp_path: Path, speed: float
) -> None:
    file = tmp_path / "trades.csv"
    file.write_text(SAMPLE)
    feed = ReplayPrices(spec(), read_trades(file)["BTCUSDT"], speed)
    prices = [int(move.fair) for _ in range(26) for move in feed.advance(1.0 / speed)]
    lap = list(range(9_680, 9_690))
    assert prices[:20] == lap + lap


@pytest.mark.parametrize(
    "row",
    [
        "x,BTCUSDT,1,1,1,buy,NaN,1",
        "x,BTCUSDT,1,1,1,buy,-5,1",
        "x,BTCUSDT,1,1,1,long,5,1",
        "x,BTCUSDT,soon,1,1,buy,5,1",
        "x,BTCUSDT",
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    file = tmp_path / "trades.csv"
    file.write_text(SAMPLE + row + "\n")
    with pytest.raises(ValueError, match="line 12"):
        read_trades(file)


def test_a_file_without_trades_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_text(HEADER)
    with pytest.raises(ValueError, match="no trades"):
        read_trades(file)
