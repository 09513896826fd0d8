"""Times of an order (B21): RFC 3339 with offset, 2000 to a year ahead, no start that was missed."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from starters.times import GivenTime
from workflows.domain.denials import DenialCode, Denied
from workflows.fields import OLD_TIMES, Moment, denial_of
from workflows.order_times import missed_start, too_early, too_far
from workflows.steering_messages import AmendRequest, parse_amend

NOW = datetime(2028, 2, 29, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def read(text: object, *, context: dict[str, str] | None = None) -> datetime | DenialCode:
    try:
        moment: datetime = TypeAdapter(Moment).validate_python(text, context=context)
    except ValidationError as error:
        return denial_of(error).code
    return moment


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2030-01-31T12:00:00Z", "2030-01-31T12:00:00+00:00"),
        ("2030-01-31t12:00:00z", "2030-01-31T12:00:00+00:00"),
        ("2030-01-31T12:00:00.25+01:00", "2030-01-31T11:00:00.250000+00:00"),
        ("2030-01-31T12:00:00-00:00", "2030-01-31T12:00:00+00:00"),
        ("2028-02-29T23:59:59+23:59", "2028-02-29T00:00:59+00:00"),
    ],
)
def test_a_time_is_rfc_3339_with_its_offset(text: str, utc: str) -> None:
    assert read(text) == datetime.fromisoformat(utc)


@pytest.mark.parametrize(
    "text",
    [
        "2030-01-31T12:00:00",
        "2030-01-31T12:00:00+25:00",
        "2030-01-31T12:00:60Z",
        "2016-12-31T23:59:60Z",
        "2030-02-30T12:00:00Z",
        "2030-01-31T24:00:00Z",
        "2030-01-31T12:00:00+12:60",
        "2030-01-31T12:00Z",
        "2030-01-31T12:00:00+01",
        "2030-01-31T12:00:00,5Z",
        "2030-01-31 12:00:00Z",
        " 2030-01-31T12:00:00Z",
        "20300131T120000Z",
        "2030-W05-4T12:00:00Z",
        "2030-01-31",
        "1900000000",
        "0001-01-01T00:00:00+23:59",
        "\uff12030-01-31T12:00:00Z",
        "tomorrow",
        "",
    ],
)
def test_every_other_text_is_no_time(text: str) -> None:
    assert read(text) == DenialCode.INVALID_TIME


def test_a_number_is_no_text_and_so_no_time() -> None:
    assert {read(1_900_000_000), read(None), read([])} == {DenialCode.INVALID_TYPE}


def test_a_run_of_before_reads_the_forms_that_it_began_with() -> None:
    assert read("2030-01-31 12:00Z", context=OLD_TIMES) == datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert read("2030-01-31T12:00:00", context=OLD_TIMES) == DenialCode.INVALID_TIME


def field_of(denied: Denied | None) -> str | None:
    assert denied is None or denied.code is DenialCode.INVALID_TIME
    return denied and denied.field


def test_no_time_lies_before_the_year_2000_or_more_than_a_year_ahead() -> None:
    first = datetime(2000, 1, 1, tzinfo=UTC)
    assert field_of(too_early(start_at=first, end_at=None)) is None
    assert field_of(too_early(start_at=first, end_at=first - SECOND)) == "end_at"
    a_year_on = NOW.replace(year=2029, month=3, day=1)
    assert field_of(too_far(NOW, start_at=None, end_at=a_year_on)) is None
    assert field_of(too_far(NOW, start_at=a_year_on + SECOND, end_at=None)) == "start_at"


@pytest.mark.parametrize(("late_s", "is_missed"), [(-60, False), (0, False), (5, False), (6, True)])
def test_a_start_may_lie_five_seconds_in_the_past(late_s: int, is_missed: bool) -> None:
    denied = missed_start(NOW, NOW - timedelta(seconds=late_s))
    assert (field_of(denied) == "start_at") is is_missed


def test_an_amendment_names_a_time_as_an_order_does() -> None:
    for text in ("2030-01-31 12:00Z", "1999-12-31T23:59:59Z"):
        body = b'{"end_at": "%s"}' % text.encode()
        denied = parse_amend(body)
        assert isinstance(denied, Denied)
        assert (denied.code, denied.field) == (DenialCode.INVALID_TIME, "end_at")
        assert isinstance(parse_amend(body, with_old_times=True), AmendRequest)


def test_a_reader_asks_for_times_between_the_year_2000_and_a_year_ahead() -> None:
    given, now = TypeAdapter[datetime](GivenTime), datetime.now(UTC)
    for good in (now, now + timedelta(days=365), datetime(2000, 1, 1, tzinfo=UTC)):
        assert given.validate_python(good.isoformat()) == good
    for bad in (now + timedelta(days=367), datetime(1999, 12, 31, tzinfo=UTC)):
        with pytest.raises(ValidationError) as refused:
            given.validate_python(bad.isoformat())
        assert denial_of(refused.value).code is DenialCode.INVALID_TIME
