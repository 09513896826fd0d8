"""Order requests: which fields go together, by type, by price, by time."""

import pytest

from tests.unit.order_bodies import KINDS, MARKET, accepted, denied, raw
from workflows.domain.denials import Denied
from workflows.domain.orders import OrderType
from workflows.messages import OrderRequest, parse_order


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        ("market", {"price": "50000"}, "price"),
        ("limit", {"slippage_tolerance": "0.01"}, "slippage_tolerance"),
        ("limit", {"slippage_tolerance": "0"}, "slippage_tolerance"),
        ("market", {"time_in_force": "FOK"}, "time_in_force"),
        ("twap", {"time_in_force": "FOK"}, "time_in_force"),
        ("twap", {"time_in_force": "IOC"}, "time_in_force"),
        ("twap", {"timeout_s": "60"}, "timeout_s"),
        ("market", {"post_only": True}, "post_only"),
        ("twap", {"post_only": True}, "post_only"),
        ("limit", {"post_only": True, "time_in_force": "IOC"}, "post_only"),
        ("limit", {"post_only": True, "time_in_force": "FOK"}, "post_only"),
        *(
            (kind, {field: value}, field)
            for kind in KINDS
            if kind != "twap"
            for field, value in {
                "twap_slices": 10,
                "twap_interval": 60,
                "size_jitter": "0",
                "time_jitter": "0",
                "catch_up": "spread",
                "catch_up_cap": 3,
                "end_sweep": False,
                "passive_fraction": "0.5",
                "max_participation": "0.1",
                "pause_shifts_end": True,
                "duration_s": 60,
            }.items()
        ),
        *(
            (kind, {field: value}, field)
            for kind in KINDS
            if kind != "iceberg"
            for field, value in {
                "iceberg_visible_ratio": "0.1",
                "iceberg_display": "0.1",
                "iceberg_variance": "0.1",
                "peg_offset": "1",
            }.items()
        ),
        *(
            (kind, {field: value}, field)
            for kind in ("market", "limit", "twap", "iceberg")
            for field, value in {
                "trigger_source": "last",
                "max_slippage": "0.01",
                "stop_price": "49000",
                "trailing_delta_bps": 100,
            }.items()
        ),
        ("trailing_stop", {"price": "49000"}, "price"),
        ("stop_loss", {"post_only": True}, "post_only"),
        ("stop_loss", {"time_in_force": "IOC"}, "time_in_force"),
        ("iceberg", {"time_in_force": "IOC"}, "time_in_force"),
        ("oco", {"trigger_source": "mark"}, "trigger_source"),
        ("stop_loss", {"post_trigger_timeout_s": 5}, "post_trigger_timeout_s"),
        ("limit", {"end_at": "2030-01-31T12:00:00Z", "timeout_s": 5}, "timeout_s"),
    ],
)
def test_fields_that_exclude_each_other_are_denied(
    kind: str, changes: dict[str, object], field: str
) -> None:
    answer = denied(raw(KINDS[kind], **changes))
    assert (answer.code, answer.field) == ("FIELD_NOT_ALLOWED", field)
    assert answer.detail.startswith(f"{field} is not allowed with ")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("market", {"price": None}),
        ("market", {"time_in_force": "IOC", "slippage_tolerance": "0.5"}),
        ("market", {"timeout_s": "0.1"}),
        ("limit", {"post_only": True, "timeout_s": 60}),
        ("limit", {"time_in_force": "IOC"}),
        ("limit", {"time_in_force": "FOK"}),
        ("limit", {"twap_slices": None, "end_sweep": None}),
        ("twap", {"price": "50000", "slippage_tolerance": "0.01"}),
        ("twap", {"twap_slices": 1e1, "twap_interval": "0.05", "end_sweep": False}),
        ("twap", {"duration_s": 600, "twap_slices": 10}),
        ("twap", {"duration_s": 600, "twap_slices": 10, "twap_interval": 60}),
        ("twap", {"start_at": "2030-01-31T12:00:00Z", "end_at": "2030-01-31T13:00:00+00:00"}),
        ("iceberg", {"time_in_force": "GTC", "iceberg_visible_ratio": 1}),
        ("iceberg", {"post_only": True, "iceberg_display": "0.01", "peg_offset": 0}),
        ("stop_loss", {"price": "48900", "post_trigger_timeout_s": 5, "on_unfilled": "market"}),
        ("trailing_stop", {"activation_price": "51000", "placement": "native"}),
        ("oco", {"price": "48900", "reduce_only": True}),
    ],
)
def test_fields_that_go_together_are_accepted(kind: str, changes: dict[str, object]) -> None:
    accepted(raw(KINDS[kind], **changes))


@pytest.mark.parametrize(
    ("kind", "changes", "code", "field"),
    [
        ("twap", {"end_at": "2030-01-31T12:00:00Z"}, "END_BEFORE_START", "end_at"),
        ("twap", {"end_at": "2030-01-31T11:00:00Z"}, "END_BEFORE_START", "end_at"),
        (
            "twap",
            {"duration_s": 601, "twap_slices": 10, "twap_interval": 60},
            "INCONSISTENT_SCHEDULE",
            "duration_s",
        ),
        (
            "twap",
            {"end_at": "2030-02-01T00:00:00Z", "duration_s": 60},
            "INCONSISTENT_SCHEDULE",
            "end_at",
        ),
        ("oco", {"oco_limit_price": "49000"}, "OCO_PRICES", "oco_limit_price"),
        ("oco", {"oco_limit_price": "48000"}, "OCO_PRICES", "oco_limit_price"),
        ("oco", {"side": "buy"}, "OCO_PRICES", "oco_limit_price"),
        ("oco", {"price": "51500"}, "OCO_PRICES", "price"),
        ("stop_loss", {"on_unfilled": "market"}, "MISSING_FIELD", "post_trigger_timeout_s"),
        ("stop_loss", {"max_slippage": "0.1"}, "OUT_OF_RANGE", "max_total_slippage"),
    ],
)
def test_values_that_contradict_each_other_are_denied(
    kind: str, changes: dict[str, object], code: str, field: str
) -> None:
    start = {"start_at": "2030-01-31T12:00:00Z"} if "end_at" in changes else {}
    answer = denied(raw(KINDS[kind], **start, **changes))
    assert (answer.code, answer.field) == (code, field)


def test_the_workflow_type_says_the_order_type_and_may_not_be_contradicted() -> None:
    assert list(KINDS) == list(OrderType)
    for order_type, complete in zip(OrderType, KINDS.values(), strict=True):
        body = {name: value for name, value in complete.items() if name != "order_type"}
        assert parse_order(raw(body), order_types=(order_type,)) == accepted(raw(complete))
    answer = denied(raw(MARKET), OrderType.TWAP)
    assert (answer.code, answer.field) == ("FIELD_NOT_ALLOWED", "order_type")


def test_a_workflow_of_several_types_asks_which() -> None:
    triggered = tuple(kind for kind in OrderType if kind.is_triggered)
    for kind in triggered:
        answer = parse_order(raw(KINDS[kind]), order_types=triggered)
        assert isinstance(answer, OrderRequest)
        assert answer.order_type is kind
    untyped = {name: value for name, value in KINDS["oco"].items() if name != "order_type"}
    missing = parse_order(raw(untyped), order_types=triggered)
    assert isinstance(missing, Denied)
    assert (missing.code, missing.field) == ("MISSING_FIELD", "order_type")
    other = parse_order(raw(MARKET), order_types=triggered)
    assert isinstance(other, Denied)
    assert (other.code, other.field) == ("FIELD_NOT_ALLOWED", "order_type")
