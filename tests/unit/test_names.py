"""Names that other processes rely on: they never collide, and every handler can be called bare."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from temporalio import workflow

from tests.unit.message_strategies import UNDISTURBED, identifiers
from workers.workflow_code import WORKFLOWS, sandbox
from workflows import names
from workflows.domain.executions import ExecutionKind
from workflows.domain.orders import OrderType
from workflows.fields import Identifier

# What settings allow: a venue is a ccxt class, an account comes from an environment variable.
venues = st.from_regex(r"[a-z][a-z0-9]{0,31}", fullmatch=True)
accounts = st.from_regex(r"[a-z0-9_]{1,16}", fullmatch=True)
pairs = st.tuples(venues, accounts)


def test_queues_and_the_feed_have_their_documented_names() -> None:
    assert names.ORDERS_QUEUE == "orders"
    assert names.venue_queue("binance", "main") == "exchange-binance-main"
    assert names.venue_data_queue("binance", "main") == "exchange-binance-main-data"
    assert names.account_feed_id("binance", "main") == "account-feed:binance:main"
    assert names.price_watch_id("binance", "BTC/USDT") == "price-watch:binance:BTC/USDT"
    assert (names.ACCEPT, names.CANCEL, names.PROGRESS) == ("accept", "cancel", "progress")


@UNDISTURBED
@given(pairs, pairs)
def test_no_two_accounts_share_a_queue_or_a_feed(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    queues = [names.venue_queue(*one), names.venue_data_queue(*one), names.ORDERS_QUEUE]
    assert len(set(queues)) == 3
    if one != other:
        assert not {names.venue_queue(*other), names.venue_data_queue(*other)} & set(queues)
        assert names.account_feed_id(*one) != names.account_feed_id(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "b_c"), ("a_b", "c")), (("ab", "c"), ("a", "bc")), (("a", "a"), ("aa", ""))],
)
def test_shifting_the_border_between_venue_and_account_gives_another_name(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert names.venue_queue(*one) != names.venue_queue(*other)
    assert names.account_feed_id(*one) != names.account_feed_id(*other)


@UNDISTURBED
@given(identifiers, identifiers)
def test_a_feed_can_never_have_the_id_of_an_order(venue: str, account: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Identifier).validate_python(names.account_feed_id(venue, account))


def test_search_attributes_are_keywords_with_distinct_names() -> None:
    found = [attribute.name for attribute in names.SEARCH_ATTRIBUTES]
    assert found == ["StrategyId", "Exchange", "Symbol", "Side", "OrderType", "OrderStatus"]
    assert {attribute.indexed_value_type.name for attribute in names.SEARCH_ATTRIBUTES} == {
        "KEYWORD"
    }


# --- the workflow types -------------------------------------------------------------------------


def definitions() -> dict[str, workflow._Definition]:
    return {kind.__name__: workflow._Definition.must_from_class(kind) for kind in WORKFLOWS}


each_workflow = pytest.mark.parametrize("definition", definitions().values(), ids=definitions())


def test_there_is_one_workflow_type_per_way_to_trade_and_one_for_each_that_watches() -> None:
    order_types = {
        "StopOrder" if order_type.is_triggered else f"{order_type.value.capitalize()}Order"
        for order_type in OrderType
    }
    assert {definition.name for definition in definitions().values()} == {
        *order_types,
        *(kind.value.capitalize() for kind in ExecutionKind),
        "PreviewOrder",
        "AccountFeed",
        "ReadSymbols",
        "ReadWindow",
        "PriceWatch",
        "SettleOrder",
        "SyncPositions",
    }


@each_workflow
def test_every_entry_of_a_workflow_can_be_called_without_an_argument(
    definition: workflow._Definition,
) -> None:
    # a missing argument raises TypeError otherwise, and the workflow task would retry for ever
    handlers = [
        definition.run_fn,
        *(signal.fn for signal in definition.signals.values()),
        *(query.fn for query in definition.queries.values()),
        *(update.fn for update in definition.updates.values()),
    ]
    for handler in handlers:
        _, *arguments = inspect.signature(handler).parameters.values()
        assert all(argument.default is None for argument in arguments), handler


@each_workflow
def test_no_workflow_names_exceptions_that_would_fail_it(definition: workflow._Definition) -> None:
    assert not definition.failure_exception_types


@each_workflow
async def test_every_workflow_loads_in_the_sandbox(definition: workflow._Definition) -> None:
    sandbox().prepare_workflow(definition)
