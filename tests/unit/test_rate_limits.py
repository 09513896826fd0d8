"""How often one key may ask: steady and burst, alone, and never in the way of the brake."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from starters.api.errors import ApiError
from starters.api.rate_limits import MAX_BUCKETS, Kind, RateLimits, kind_of
from tests.unit.starters_fakes import FakeConnections, _app, call, settings_of
from workflows.domain.access import Caller, Scope

TRADE, READ = frozenset({Scope.TRADE}), frozenset({Scope.READ})
STOP = frozenset({Scope.TRADE, Scope.KILL})


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def key(name: str) -> Caller:
    return Caller(key_id=name, name=name, scopes=frozenset(Scope))


def limits(clock: Clock, *, trade: int = 20, read: int = 50) -> RateLimits:
    return RateLimits(read_per_s=read, trade_per_s=trade, clock_s=clock)


def taken(rates: RateLimits, caller: Caller, scopes: frozenset[Scope], most: int = 1_000) -> int:
    """How many requests go through at once."""
    for count in range(most):
        try:
            rates.take(caller, scopes)
        except ApiError:
            return count
    return most


def test_a_rested_key_has_two_seconds_worth_at_once_and_then_its_rate():
    clock = Clock()
    rates, ann = limits(clock), key("ann")
    assert (taken(rates, ann, TRADE), taken(rates, ann, READ)) == (40, 100)
    for _ in range(3):
        clock.now_s += 1
        assert (taken(rates, ann, TRADE), taken(rates, ann, READ)) == (20, 50)
    clock.now_s += 3_600
    assert taken(rates, ann, TRADE) == 40


def test_over_any_minute_no_more_than_the_rate_and_one_burst_go_through():
    clock = Clock()
    rates, ann, through = limits(clock), key("ann"), 0
    for _ in range(600):
        through += taken(rates, ann, TRADE)
        clock.now_s += 0.1
    assert 1_200 <= through <= 1_240


def test_one_key_never_takes_from_another():
    rates, ann, bob = limits(Clock()), key("ann"), key("bob")
    taken(rates, ann, TRADE)
    assert taken(rates, bob, TRADE) == 40


def test_a_flood_of_orders_leaves_room_to_cancel_them_and_to_halt():
    rates, ann = limits(Clock()), key("ann")
    taken(rates, ann, TRADE)
    assert (kind_of(STOP), taken(rates, ann, STOP)) == (Kind.STOP, 40)


def test_whoever_waits_as_long_as_they_were_told_is_let_through():
    clock = Clock()
    rates, ann = limits(clock, trade=1), key("ann")
    taken(rates, ann, TRADE)
    with pytest.raises(ApiError) as refused:
        rates.take(ann, TRADE)
    assert refused.value.code == "RATE_LIMITED"
    clock.now_s += int(refused.value.headers["Retry-After"])
    rates.take(ann, TRADE)


def test_a_rate_of_zero_is_no_limit():
    assert taken(limits(Clock(), trade=0, read=0), key("ann"), TRADE, 5_000) == 5_000


def test_keys_that_have_not_asked_for_long_are_forgotten():
    clock = Clock()
    rates = limits(clock)
    for number in range(MAX_BUCKETS + 1):
        rates.take(key(str(number)), TRADE)
        clock.now_s += 0.001
    clock.now_s += 10
    rates.take(key("late"), TRADE)
    assert len(rates._full_at) <= MAX_BUCKETS


@contextmanager
def limited(rates: RateLimits) -> Iterator[None]:
    state = _app().state
    kept, state.rate_limits = state.rate_limits, rates
    try:
        yield
    finally:
        state.rate_limits = kept


@pytest.fixture
def _one_a_second() -> Iterator[None]:
    with limited(limits(Clock(), trade=1, read=1)):
        yield


@pytest.fixture
def _usual() -> Iterator[None]:
    with limited(limits(Clock())):
        yield


@pytest.mark.usefixtures("_one_a_second")
async def test_the_api_answers_429_and_says_when_to_ask_again():
    answers = [await call(FakeConnections(), "GET", "/api/v1/orders") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "RATE_LIMITED"
    assert int(answers[2].headers["retry-after"]) >= 1
    live = await call(FakeConnections(), "GET", "/health/live")
    assert live.status_code == 200


def test_the_limits_are_those_of_the_settings():
    rates = RateLimits.of(settings_of(API_TRADE_RATE="3", API_READ_RATE="5"))
    assert (taken(rates, key("ann"), TRADE), taken(rates, key("ann"), READ)) == (6, 10)


@pytest.mark.usefixtures("_usual")
async def test_a_flood_of_orders_from_one_key_is_429_and_another_key_does_not_notice():
    ann, bob = FakeConnections(caller=key("ann")), FakeConnections(caller=key("bob"))
    body = b'{"strategy_id": 1}'
    flood = [await call(ann, "POST", "/api/v1/orders", content=body) for _ in range(200)]
    assert [answer.status_code for answer in flood] == [422] * 40 + [429] * 160
    other = [await call(bob, "POST", "/api/v1/orders", content=body) for _ in range(40)]
    assert {answer.status_code for answer in other} == {422}
    told = [each for each in ann.told if each.after["status"] == 429]
    assert told
    halt = await call(ann, "PUT", "/api/v1/trading-state", content=b"{}")
    assert halt.status_code == 422
