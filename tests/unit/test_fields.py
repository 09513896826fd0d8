"""The field types: what each accepts to the last digit, and the code of what it refuses."""

import re
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tests.unit.message_strategies import (
    UNDISTURBED,
    WIDEST,
    amounts,
    anything_json,
    identifiers,
    odd_amounts,
)
from workflows.domain.denials import DenialCode, Denied
from workflows.domain.orders import Side
from workflows.fields import (
    MAX_FIELD_NAME,
    Amount,
    Boolean,
    ExactDecimal,
    Identifier,
    PositiveDecimal,
    Text,
    WholeNumber,
    denial_of,
    plain,
)
from workflows.payloads import strict_loads

FIELD_TYPES = [ExactDecimal, PositiveDecimal, Identifier, Text, WholeNumber, Boolean]


def read(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value)


def refusal(kind: Any, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    assert caught.value.error_count() == 1
    return caught.value.errors()[0]["type"]


# --- decimals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("0.1", "0.1"),
        ('"0.1"', "0.1"),
        ('"0.10"', "0.1"),
        ("1", "1"),
        ("2e-1", "0.2"),
        ("1e-05", "0.00001"),
        ("1e5", "100000"),
        ('"-0"', "0"),
        ("-0.0", "0"),
        ("0e-999999999", "0"),
        ("-2.50", "-2.5"),
        ('"100"', "100"),
        ("999999999999999999.999999999999999999", "999999999999999999.999999999999999999"),
        ('"999999999999999999.999999999999999999"', "999999999999999999.999999999999999999"),
        ("1" + "0" * 20 + "e-3", "1" + "0" * 17),
        ('"0.1' + "0" * 61 + '"', "0.1"),  # 64 characters
        ("0.1" + "0" * 61, "0.1"),
    ],
)
def test_a_decimal_is_exactly_what_was_written(raw: str, text: str) -> None:
    assert str(read(ExactDecimal, strict_loads(raw.encode()))) == text


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ('"NaN"', "INVALID_DECIMAL"),
        ('"Infinity"', "INVALID_DECIMAL"),
        ('"1e400"', "INVALID_DECIMAL"),
        ('"1e-400"', "INVALID_DECIMAL"),
        ('"1E5"', "INVALID_DECIMAL"),
        ('"1_000"', "INVALID_DECIMAL"),
        ('"1,000"', "INVALID_DECIMAL"),
        ('"1 000"', "INVALID_DECIMAL"),
        ('" 1 "', "INVALID_DECIMAL"),
        ('"1\\n"', "INVALID_DECIMAL"),
        ('"0x10"', "INVALID_DECIMAL"),
        ('"½"', "INVALID_DECIMAL"),
        ('"١"', "INVALID_DECIMAL"),  # a digit of another script
        ('""', "INVALID_DECIMAL"),
        ('"+1"', "INVALID_DECIMAL"),
        ('".5"', "INVALID_DECIMAL"),
        ('"5."', "INVALID_DECIMAL"),
        ('"01"', "INVALID_DECIMAL"),
        ('"{x}"', "INVALID_DECIMAL"),
        ("1e400", "INVALID_DECIMAL"),
        ("1e999999999", "INVALID_DECIMAL"),
        ("-1e999999999", "INVALID_DECIMAL"),
        ("1000000000000000000", "INVALID_DECIMAL"),
        ('"1000000000000000000"', "INVALID_DECIMAL"),
        ("1e18", "INVALID_DECIMAL"),
        ('"0.1' + "0" * 62 + '"', "INVALID_DECIMAL"),  # 65 characters
        ("1." + "0" * 64, "INVALID_DECIMAL"),
        ("1e-19", "PRECISION"),
        ("1e-999999999", "PRECISION"),
        ('"0.1234567890123456789"', "PRECISION"),
        ("0.1234567890123456789012345", "PRECISION"),
        ("true", "INVALID_TYPE"),
        ("[1]", "INVALID_TYPE"),
        ("{}", "INVALID_TYPE"),
        ("null", "INVALID_TYPE"),
    ],
)
def test_a_decimal_that_is_not_exact_and_plain_is_refused(raw: str, code: str) -> None:
    value = strict_loads(raw.encode())
    assert refusal(ExactDecimal, value) == code
    assert refusal(PositiveDecimal, value) == code


def test_a_float_is_never_money() -> None:
    assert refusal(ExactDecimal, 0.1) == "INVALID_TYPE"


@pytest.mark.parametrize("value", [0, -1, "0", "0.000", "-0", "-1", Decimal("-1E-18")])
def test_a_quantity_is_positive(value: object) -> None:
    assert refusal(PositiveDecimal, value) == "NOT_POSITIVE"


@UNDISTURBED
@given(amounts)
def test_a_number_and_its_text_are_the_same_decimal(amount: Decimal) -> None:
    text = f"{amount:f}"
    from_number = read(ExactDecimal, strict_loads(text.encode()))
    assert from_number == read(ExactDecimal, text) == amount
    assert plain(from_number) == plain(read(ExactDecimal, text)) == plain(amount)


@UNDISTURBED
@given(odd_amounts)
def test_plain_text_has_no_exponent_no_trailing_zero_and_the_same_value(amount: Decimal) -> None:
    text = plain(amount)
    assert Decimal(text) == amount
    assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", text)


@UNDISTURBED
@given(odd_amounts)
def test_an_amount_of_ours_is_written_as_plain_text_and_read_back(amount: Decimal) -> None:
    adapter = TypeAdapter[Decimal](Amount)
    written = adapter.dump_json(amount)
    assert written == f'"{plain(amount)}"'.encode()
    assert adapter.validate_python(strict_loads(written)) == amount


def test_an_amount_of_ours_may_have_more_digits_than_a_callers() -> None:
    product = WIDEST.scaleb(20)
    assert read(Amount, f"{product:f}") == product
    assert refusal(ExactDecimal, f"{product:f}") == "INVALID_DECIMAL"


@UNDISTURBED
@given(st.text("0123456789.-", max_size=12))
def test_the_published_pattern_accepts_what_the_field_accepts(text: str) -> None:
    schema = TypeAdapter(ExactDecimal).json_schema()
    pattern = next(form["pattern"] for form in schema["anyOf"] if form["type"] == "string")
    try:
        read(ExactDecimal, text)
    except ValidationError:
        assert re.fullmatch(pattern, text) is None
    else:
        assert re.fullmatch(pattern, text)


# --- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a", "x" * 64, "A.b_c-9", "...", "-", "0"])
def test_an_id_is_kept_as_it_is(value: str) -> None:
    assert read(Identifier, value) == value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "ILLEGAL_CHARS"),
        (".", "ILLEGAL_CHARS"),
        ("..", "ILLEGAL_CHARS"),
        ("a b", "ILLEGAL_CHARS"),
        (" a", "ILLEGAL_CHARS"),
        ("a\n", "ILLEGAL_CHARS"),
        ("a\0", "ILLEGAL_CHARS"),
        ("a/b", "ILLEGAL_CHARS"),
        ("a:b", "ILLEGAL_CHARS"),
        ("ä", "ILLEGAL_CHARS"),
        ("{x}", "ILLEGAL_CHARS"),
        ("'; DROP TABLE orders;--", "ILLEGAL_CHARS"),
        ("x" * 65, "TOO_LONG"),
        ("x" * 10_000, "TOO_LONG"),
        (1, "INVALID_TYPE"),
        (None, "INVALID_TYPE"),
        (["a"], "INVALID_TYPE"),
    ],
)
def test_what_is_no_id_is_refused(value: object, code: str) -> None:
    assert refusal(Identifier, value) == code


@UNDISTURBED
@given(st.one_of(identifiers, st.text(max_size=5)))
def test_the_published_pattern_of_ids_accepts_what_the_field_accepts(text: str) -> None:
    pattern = TypeAdapter(Identifier).json_schema()["pattern"]
    try:
        read(Identifier, text)
    except ValidationError:
        assert text in (".", "..") or re.fullmatch(pattern, text) is None
    else:
        assert re.fullmatch(pattern, text)


@pytest.mark.parametrize("value", ["", "x" * 500, " kept ", "<script>", "=cmd()", "{x} {}", "½ 漢"])
def test_free_text_is_data_and_is_not_trimmed(value: str) -> None:
    assert read(Text, value) == value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("x" * 501, "TOO_LONG"),
        *((character, "ILLEGAL_CHARS") for character in "\0\t\n\r\x1b\x7f\x85\x9b\ud800"),
        (1, "INVALID_TYPE"),
        (None, "INVALID_TYPE"),
        (b"x", "INVALID_TYPE"),
    ],
)
def test_text_that_cannot_be_shown_is_refused(value: object, code: str) -> None:
    assert refusal(Text, value) == code


# --- whole numbers and booleans -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "value"), [("3", 3), ("3.0", 3), ("1e1", 10), ("-1", -1), ("0", 0)]
)
def test_a_whole_number_is_any_number_without_a_fraction(raw: str, value: int) -> None:
    number = read(WholeNumber, strict_loads(raw.encode()))
    assert (number, type(number)) == (value, int)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (Decimal("1.5"), "INVALID_TYPE"),
        (Decimal("1E-999999999"), "INVALID_TYPE"),
        ("10", "INVALID_TYPE"),
        (True, "INVALID_TYPE"),
        (None, "INVALID_TYPE"),
        (10.0, "INVALID_TYPE"),
        (Decimal("1E+18"), "OUT_OF_RANGE"),
        (Decimal("NaN"), "OUT_OF_RANGE"),
        (Decimal("Infinity"), "OUT_OF_RANGE"),
    ],
)
def test_what_is_no_whole_number_is_refused(value: object, code: str) -> None:
    assert refusal(WholeNumber, value) == code


@pytest.mark.parametrize("kind", FIELD_TYPES)
@pytest.mark.parametrize("raw", ["1e999999999", "-1e999999999", "1e-999999999", "9" * 100_000])
def test_a_number_is_judged_before_its_digits_are_written_out(kind: Any, raw: str) -> None:
    before = time.perf_counter()
    refusal(kind, strict_loads(raw.encode()))
    assert time.perf_counter() - before < 1


@pytest.mark.parametrize("value", [0, 1, "true", "", None, Decimal(1)])
def test_only_true_and_false_are_booleans(value: object) -> None:
    assert refusal(Boolean, value) == "INVALID_TYPE"
    assert read(Boolean, True) is True
    assert read(Boolean, False) is False


# --- denials ------------------------------------------------------------------------------------


class Form(BaseModel):
    """A message with a field of each kind."""

    model_config = ConfigDict(extra="forbid")

    amount: PositiveDecimal
    name: Identifier = "n"
    note: Text | None = None
    side: Side = Side.BUY
    count: WholeNumber = 1
    inner: dict[str, Identifier] = {}


def denied(body: object) -> Denied:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(body)
    return denial_of(caught.value)


@pytest.mark.parametrize(
    ("body", "code", "field", "detail"),
    [
        ({}, "MISSING_FIELD", "amount", "amount is required"),
        ({"amount": 0}, "NOT_POSITIVE", "amount", "amount must be greater than 0"),
        ({"amount": 1, "x": 1}, "UNKNOWN_FIELD", "x", "x is not a field of this message"),
        ({"amount": 1, "{y}": 1}, "UNKNOWN_FIELD", "{y}", "{y} is not a field of this message"),
        ({"amount": 1, "side": "hold"}, "UNKNOWN_ENUM", "side", "side must be 'buy' or 'sell'"),
        ({"amount": 1, "side": 1}, "INVALID_TYPE", "side", "side must be a string"),
        ({"amount": 1, "side": None}, "INVALID_TYPE", "side", "side must be a string"),
        ({"amount": 1, "inner": 1}, "INVALID_TYPE", "inner", "inner has the wrong type"),
        ({"amount": 1, "inner": {"{a}": ""}}, "ILLEGAL_CHARS", "inner", "inner may contain"),
        ([], "INVALID_TYPE", None, "body has the wrong type"),
        (
            {"amount": 1, "function-before": 1},
            "UNKNOWN_FIELD",
            "function-before",
            "function-before is not",
        ),
    ],
)
def test_a_denial_names_the_code_the_field_and_the_rule(
    body: object, code: str, field: str | None, detail: str
) -> None:
    answer = denied(body)
    assert (answer.code, answer.field) == (code, field)
    assert answer.detail.startswith(detail)


@pytest.mark.parametrize("field", ["amount", "name", "note", "side", "count", "inner"])
@pytest.mark.parametrize(
    "value", ["{s3cret} {0} {message}", "s3cret\n", ["s3cret"], {"s3cret": {}}]
)
def test_a_refused_value_is_never_echoed_nor_read_as_a_template(field: str, value: object) -> None:
    body = {"amount": 1, "note": 1, field: value}
    if field != "note":
        del body["note"]
    elif value == "{s3cret} {0} {message}":
        assert Form.model_validate(body).note == value
        return
    answer = denied(body)
    assert answer.field == field
    assert "s3cret" not in answer.detail
    assert "{" not in answer.detail


def test_the_name_of_an_unknown_field_is_cut_to_a_names_length() -> None:
    answer = denied({"amount": 1, "x" * 60_000: 1})
    assert answer.field == "x" * MAX_FIELD_NAME
    assert len(answer.detail) < 2 * MAX_FIELD_NAME


@UNDISTURBED
@given(field=st.sampled_from(list(Form.model_fields)), value=anything_json)
def test_any_value_is_taken_or_denied_with_its_field(field: str, value: object) -> None:
    try:
        Form.model_validate({"amount": 1, field: value})
    except ValidationError as error:
        answer = denial_of(error)
        assert answer.field == field
        assert answer.code in DenialCode
