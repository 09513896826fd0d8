"""Limits that people set: what may be set, what contradicts, and which of several binds."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.limits import (
    GLOBAL,
    RULES,
    LimitName,
    ScopeKind,
    account_scope,
    applied,
    binding,
    check_consistent,
    check_limit,
    effective,
    kind_of_scope,
    scopes_of,
    strategy_scope,
    symbol_scope,
)
from workflows.domain.risk import Limits

ENGINE = Limits(
    max_order_value=Decimal(100_000),
    max_position_value=Decimal(500_000),
    venue_rates={"okx": Decimal(16)},
)
SCOPES = scopes_of("s1", "main", "binance", "BTC/USDT")
_EXAMPLES = {
    ScopeKind.GLOBAL: GLOBAL,
    ScopeKind.ACCOUNT: account_scope("binance", "main"),
    ScopeKind.SYMBOL: symbol_scope("binance", "BTC/USDT"),
    ScopeKind.STRATEGY: strategy_scope("s1"),
}


def code_of(answer: object) -> str | None:
    return answer.code.value if isinstance(answer, Denied) else None


def test_the_scopes_of_an_order_are_one_of_each_kind_the_widest_first() -> None:
    assert list(_EXAMPLES.values()) == SCOPES
    assert [kind_of_scope(scope) for scope in SCOPES] == list(ScopeKind)


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ("", "UNKNOWN_ENUM"),
        ("venue:binance", "UNKNOWN_ENUM"),
        ("Global", "UNKNOWN_ENUM"),
        ("global:", "ILLEGAL_CHARS"),
        ("account:binance", "ILLEGAL_CHARS"),
        ("account:Binance:main", "ILLEGAL_CHARS"),
        ("symbol:binance:btc/usdt", "ILLEGAL_CHARS"),
        ("symbol:BTC/USDT", "ILLEGAL_CHARS"),
        ("strategy:", "ILLEGAL_CHARS"),
        ("strategy:a b", "ILLEGAL_CHARS"),
        ("strategy:s1\n", "ILLEGAL_CHARS"),
        (f"strategy:{'s' * 65}", "ILLEGAL_CHARS"),
    ],
)
def test_what_is_no_scope_is_refused(scope: str, code: str) -> None:
    refused = kind_of_scope(scope)
    assert code_of(refused) == code
    assert isinstance(refused, Denied)
    assert refused.field == "scope"


@pytest.mark.parametrize("name", LimitName)
@pytest.mark.parametrize("kind", ScopeKind)
def test_a_limit_is_set_only_for_what_it_can_limit(name: LimitName, kind: ScopeKind) -> None:
    answer = check_limit(_EXAMPLES[kind], name, RULES[name].low)
    expected = None if kind in RULES[name].scopes else "FIELD_NOT_ALLOWED"
    assert code_of(answer) == expected
    assert expected or answer is name


@pytest.mark.parametrize("name", LimitName)
def test_a_value_holds_at_its_bounds_and_not_beyond(name: LimitName) -> None:
    rule = RULES[name]
    scope = _EXAMPLES[rule.scopes[0]]
    unit = Decimal(1) if rule.is_whole else Decimal("1E-9")
    assert [check_limit(scope, name, value) for value in (rule.low, rule.high)] == [name] * 2
    for beyond in (rule.low - unit, rule.high + unit):
        assert code_of(check_limit(scope, name, beyond)) == "OUT_OF_RANGE"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("max_order", "1", "UNKNOWN_LIMIT"),
        ("MAX_ORDER_VALUE", "1", "UNKNOWN_LIMIT"),
        ("max_order_value", "NaN", "INVALID_DECIMAL"),
        ("max_order_value", "sNaN", "INVALID_DECIMAL"),
        ("max_order_value", "Infinity", "INVALID_DECIMAL"),
        ("max_order_value", "1E+18", "INVALID_DECIMAL"),
        ("max_order_value", "-1", "OUT_OF_RANGE"),
        ("max_order_value", "1E-19", "PRECISION"),
        ("max_children", "1.5", "INVALID_TYPE"),
        ("max_messages_per_s", "101", "OUT_OF_RANGE"),
    ],
)
def test_each_way_to_be_no_limit_has_its_code(name: str, value: str, code: str) -> None:
    assert code_of(check_limit(GLOBAL, name, Decimal(value))) == code


def test_any_known_limit_can_be_unset() -> None:
    assert check_limit(GLOBAL, "max_order_value", None) is LimitName.MAX_ORDER_VALUE


@pytest.mark.parametrize(
    ("name", "wide", "narrow", "is_denied"),
    [
        (LimitName.MAX_ORDER_VALUE, "1000", "1000", False),
        (LimitName.MAX_ORDER_VALUE, "1000", "1000.01", True),
        (LimitName.MAX_ORDER_VALUE, "1000", "1", False),
        # of a window the longer one is the stricter
        (LimitName.DUPLICATE_WINDOW_S, "2", "3", False),
        (LimitName.DUPLICATE_WINDOW_S, "2", "1", True),
    ],
)
def test_a_limit_that_could_never_bind_contradicts(
    name: LimitName, wide: str, narrow: str, is_denied: bool
) -> None:
    known = {(GLOBAL, name): Decimal(wide)}
    denied = check_consistent(strategy_scope("s1"), name, Decimal(narrow), known)
    assert (denied and denied.code) == (DenialCode.INCONSISTENT_LIMITS if is_denied else None)


def test_nothing_stands_in_the_way_of_a_stricter_limit_for_everything() -> None:
    known = {(strategy_scope("s1"), LimitName.MAX_ORDER_VALUE): Decimal(1_000)}
    assert check_consistent(GLOBAL, LimitName.MAX_ORDER_VALUE, Decimal(1), known) is None


def test_what_is_set_replaces_the_default_and_the_strictest_binds() -> None:
    stored = {
        (account_scope("binance", "main"), LimitName.MAX_ORDER_VALUE): Decimal(300_000),
        (strategy_scope("s1"), LimitName.MAX_ORDER_VALUE): Decimal(200_000),
        (strategy_scope("s2"), LimitName.MAX_ORDER_VALUE): Decimal(1),
        (symbol_scope("binance", "BTC/USDT"), LimitName.MAX_ORDER_QUANTITY): Decimal(3),
    }
    bound = applied(stored, ENGINE, SCOPES, "binance", "BTC/USDT")
    assert (bound.max_order_value, bound.max_order_quantity) == (200_000, 3)
    assert bound.max_position_value == ENGINE.max_position_value


@pytest.mark.parametrize(
    ("venue", "symbol", "collar", "rate"),
    [
        ("binance", "BTC/USDT", "0.02", 100),
        ("binance", "ETH/BTC", "0.02", 100),
        ("okx", "DOGE/USDT", "0.05", 16),
    ],
)
def test_defaults_follow_the_asset_and_the_venue(
    venue: str, symbol: str, collar: str, rate: int
) -> None:
    scopes = scopes_of("s1", "main", venue, symbol)
    bound = effective({}, ENGINE, scopes, venue, symbol)
    assert bound[LimitName.COLLAR_AGGRESSIVE] == Decimal(collar)
    assert bound[LimitName.MAX_MESSAGES_PER_S] == rate
    assert LimitName.MAX_EXPOSURE not in bound
    assert LimitName.LOSS_LIMIT not in bound


@given(
    values=st.dictionaries(
        st.sampled_from(SCOPES), st.decimals(min_value=0, max_value=1_000, places=2)
    ),
    name=st.sampled_from(LimitName),
)
def test_no_scope_lets_more_pass_than_what_binds(
    values: dict[str, Decimal], name: LimitName
) -> None:
    stored = {(scope, name): value for scope, value in values.items()}
    bound = binding(stored, name, SCOPES)
    assert (bound is None) == (not values)
    for value in values.values():
        assert bound is not None
        assert bound >= value if RULES[name].larger_is_stricter else bound <= value
