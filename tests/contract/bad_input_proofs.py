"""Where each row of the catalogue of bad input is proven: the rows that are no table of bodies.

Data only: row, what comes in, and the tests that hold it. `bad_input.py` has the other rows.
"""

_API = "integration/test_api_stack.py"
_HTTP = "unit/test_api_bad_input.py"
_ENGINE = f"{_API}::test_what_only_the_engine_can_judge_is_denied_with_its_code_and_nothing_is_sent"
_FEED = "integration/test_feed_booking.py"
_WIRE = "contract/test_gateway_wire.py"
_ACCESS = "unit/test_api_access.py"
_STATUS = "unit/test_api_answers.py::test_a_denied_order_has_the_status_of_its_code"

PROOFS: dict[str, tuple[str, tuple[str, ...]]] = {
    "B10": (
        "quantity as a number",
        (
            "unit/test_api_answers.py::test_a_number_is_read_exactly",
            f"{_API}::test_a_market_order_fills_exactly_what_was_asked",
        ),
    ),
    "B14": ("notional below the venue's minimum", (_ENGINE,)),
    "B15": ("price off tick", (_ENGINE,)),
    "B17": ("buy at 100 x market", (_ENGINE,)),
    "B24": ("XXX/YYY", (_ENGINE,)),
    "B25": ("btc/usdt", (_ENGINE,)),
    "B26": ("../../etc/passwd", (_ENGINE,)),
    "B27": (
        "a symbol in a path",
        (f"{_API}::test_a_position_is_reached_by_each_way_to_write_its_symbol",),
    ),
    "B28": ("%00 and %0d%0a in a path", (f"{_HTTP}::test_an_id_in_a_path_must_be_an_id",)),
    "B33": (
        "a reason that is a script or a formula",
        (
            f"{_API}::test_cancel_answers_200_twice_409_when_filled_and_404_when_unknown",
            "unit/test_api_operators.py"
            "::test_fills_come_as_json_or_as_csv_in_which_no_text_is_a_formula",
        ),
    ),
    "B34": (
        "10 MB, also chunked",
        (f"{_API}::test_a_huge_body_is_refused_at_once_over_a_real_connection",),
    ),
    "B40": ("another content type", (f"{_HTTP}::test_only_json_is_read",)),
    "B41": (
        "no key, an empty one, Bearer alone, Basic",
        (f"{_ACCESS}::test_whatever_is_wrong_with_a_key_the_answer_is_the_same",),
    ),
    "B42": (
        "a changed, revoked or expired key",
        (
            f"{_ACCESS}::test_whatever_is_wrong_with_a_key_the_answer_is_the_same",
            "integration/test_access_keys.py"
            "::test_unknown_wrong_revoked_and_expired_keys_take_the_same_time",
        ),
    ),
    "B43": (
        "a read key on POST /api/v1/orders",
        (f"{_ACCESS}::test_a_key_passes_where_its_scope_is_declared_and_nowhere_else",),
    ),
    "B44": (
        "a foreign account's order id",
        ("unit/test_foreign_orders.py::test_a_foreign_order_is_answered_as_one_that_never_was",),
    ),
    "B45": (
        "the same order again",
        (f"{_API}::test_the_same_order_again_is_taken_for_a_mistake_unless_it_is_meant",),
    ),
    "B46": (
        "one key, one body, 100 at once",
        (f"{_API}::test_a_hundred_equal_orders_at_once_are_one_order",),
    ),
    "B47": (
        "one key, another body",
        (
            f"{_API}::test_the_same_key_answers_the_same_after_the_end"
            "_and_another_body_is_a_conflict",
        ),
    ),
    "B48": ("a key that is no key", (f"{_HTTP}::test_a_key_must_be_short_visible_ascii",)),
    "B49": (
        "cancel of the unknown, twice, of the filled",
        (f"{_API}::test_cancel_answers_200_twice_409_when_filled_and_404_when_unknown",),
    ),
    "B50": ("limits and cursors", (f"{_HTTP}::test_a_bad_list_query_is_refused",)),
    "B51": (
        "a byte now and then on 500 connections",
        (
            "integration/test_edge_connections.py"
            "::test_clients_that_send_a_byte_now_and_then_are_let_go_while_others_are_served",
        ),
    ),
    "B52": (
        "an order while HALTED or RECONCILING",
        (
            _STATUS,
            "integration/test_ledger_orders.py::test_a_halt_of_any_scope_denies_an_order",
            "integration/test_ledger_orders.py::test_an_account_that_is_not_ready_takes_no_order",
        ),
    ),
    "B53": (
        "1,000 orders/s from one key",
        (
            "unit/test_rate_limits.py"
            "::test_a_flood_of_orders_from_one_key_is_429_and_another_key_does_not_notice",
        ),
    ),
    "B54": (
        "bad options and settings",
        (
            "unit/test_cli_bad_orders.py"
            "::test_every_bad_order_that_can_be_typed_is_refused_with_the_code_that_http_answers",
            "unit/test_settings.py"
            "::test_a_wrong_value_is_refused_in_one_line_that_names_the_variable",
        ),
    ),
    "B55": (
        "a secret as argument",
        ("unit/test_cli_arguments.py::test_a_secret_as_an_argument_is_refused_and_not_repeated",),
    ),
    "B56": (
        "a workflow started directly",
        (
            "workflows/test_bad_orders.py"
            "::test_every_bad_order_is_denied_with_the_code_and_field_that_http_answers",
            "workflows/test_bad_questions.py"
            "::test_a_workflow_without_a_readable_input_fails_for_good_at_once",
            "contract/test_temporal_cli_contract.py::test_a_start_that_is_no_order_ends_denied",
        ),
    ),
    "B58": (
        "impossible fills",
        (
            f"{_FEED}::test_a_fill_that_cannot_be_right_is_set_aside_and_the_others_are_booked",
            "contract/test_gateway_stream.py"
            "::test_a_trade_that_cannot_be_right_hides_none_of_those_after_it",
        ),
    ),
    "B59": (
        "a status that is none, no id",
        (f"{_WIRE}::test_an_unreadable_order_leaves_the_outcome_unknown",),
    ),
    "B60": (
        "a trade id twice",
        (
            f"{_FEED}::test_a_repeated_trade_is_neither_booked_nor_told_again",
            "integration/test_ledger_fills.py"
            "::test_a_trade_told_with_other_figures_is_not_booked_again",
        ),
    ),
    "B61": (
        "HTML, nothing, 50 MB, without end",
        (
            f"{_WIRE}::test_a_broken_answer_leaves_the_outcome_unknown_and_is_one_post",
            f"{_WIRE}::test_an_answer_is_read_up_to_its_limit_and_not_beyond",
        ),
    ),
}
"""By row: what comes in, and `file::test` of each proof, below the folder of the tests."""
