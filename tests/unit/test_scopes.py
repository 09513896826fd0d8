"""What a kill switch covers, as text and back."""

import pytest

from workflows.domain.denials import DenialCode, Denied
from workflows.domain.scopes import Scope, ScopeKind, parse_scope


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("global", ScopeKind.GLOBAL),
        ("venue:okx", ScopeKind.VENUE),
        ("symbol:binance:BTC/USDT", ScopeKind.SYMBOL),
        ("strategy:maker_1.a-b", ScopeKind.STRATEGY),
    ],
)
def test_a_scope_is_its_text(text: str, kind: ScopeKind) -> None:
    scope = parse_scope(text)
    assert isinstance(scope, Scope)
    assert scope.kind is kind
    assert str(scope) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", DenialCode.UNKNOWN_ENUM),
        ("everything", DenialCode.UNKNOWN_ENUM),
        ("account:binance:main", DenialCode.UNKNOWN_ENUM),
        ("Global", DenialCode.UNKNOWN_ENUM),
        ("global:", DenialCode.ILLEGAL_CHARS),
        ("venue:", DenialCode.ILLEGAL_CHARS),
        ("venue:Binance", DenialCode.ILLEGAL_CHARS),
        ("venue:binance\n", DenialCode.ILLEGAL_CHARS),
        ("symbol:BTC/USDT", DenialCode.ILLEGAL_CHARS),
        ("symbol:binance:BTCUSDT", DenialCode.ILLEGAL_CHARS),
        ("symbol:binance:BTC/USDT:USDT", DenialCode.ILLEGAL_CHARS),
        ("strategy:a b", DenialCode.ILLEGAL_CHARS),
        (f"strategy:{'x' * 65}", DenialCode.ILLEGAL_CHARS),
    ],
)
def test_what_names_no_scope_is_denied_with_the_forms_that_do(text: str, code: DenialCode) -> None:
    denied = parse_scope(text)
    assert isinstance(denied, Denied)
    assert (denied.code, denied.field) == (code, "scope")
    assert "strategy:<id>" in denied.detail
