"""Events: what changed, numbered in the order of commits, and told to who listens.

Each deferred trigger takes its number first and reads what it tells afterwards: a total that it
reads is the one after all events before. Down loses no books: events are the news of a week, and
totals can be counted again.
"""

from collections.abc import Iterator
from typing import NamedTuple

from alembic import op

revision = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None

TABLES = (
    """
    CREATE TABLE events (
        seq BIGINT NOT NULL,
        at TIMESTAMPTZ NOT NULL,
        kind TEXT NOT NULL,
        account TEXT,
        strategy_id TEXT,
        exchange TEXT,
        symbol TEXT,
        order_id TEXT,
        execution_id TEXT,
        data JSONB NOT NULL,
        PRIMARY KEY (seq),
        CONSTRAINT event_kind CHECK (
            kind IN ('order', 'fill', 'position', 'execution', 'alarm', 'trading_state')
        )
    )
    """,
    """
    CREATE TABLE order_totals (
        order_id TEXT NOT NULL,
        filled_quantity NUMERIC NOT NULL,
        filled_value NUMERIC NOT NULL,
        PRIMARY KEY (order_id)
    )
    """,
)

HELPERS = (
    # whoever takes a number holds the lock until its commit is seen by all. No row that counts: its
    # versions could not be removed while a backup runs, and each number would read all of them
    """
    CREATE FUNCTION next_event() RETURNS BIGINT LANGUAGE plpgsql AS $$
    DECLARE
        number BIGINT;
    BEGIN
        PERFORM pg_advisory_xact_lock(4250486);
        SELECT coalesce(max(seq), 0) + 1 INTO number FROM events;
        PERFORM pg_notify('delta_events', number::text);
        RETURN number;
    END $$
    """,
    """
    CREATE FUNCTION plain(number NUMERIC) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
        SELECT trim_scale(number)::text
    $$
    """,
    # as every time that we tell, whatever the zone of the session
    """
    CREATE FUNCTION utc(moment TIMESTAMPTZ) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
        SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    $$
    """,
    """
    CREATE FUNCTION average(value NUMERIC, quantity NUMERIC, places INTEGER) RETURNS TEXT
    LANGUAGE sql IMMUTABLE AS $$
        SELECT trim_scale(round(round(value, 40) / nullif(quantity, 0), places))::text
    $$
    """,
)

TELLERS = (
    """
    CREATE FUNCTION order_facts(parent parent_orders, total order_totals) RETURNS JSONB
    LANGUAGE sql STABLE AS $$
        SELECT jsonb_build_object(
            'status', parent.status,
            'side', parent.side,
            'order_type', parent.order_type,
            'quantity', plain(parent.quantity),
            'price', plain(parent.price),
            'priority', parent.priority,
            'filled_quantity', plain(coalesce(total.filled_quantity, 0)),
            'remaining_quantity', plain(parent.quantity - coalesce(total.filled_quantity, 0)),
            'average_price', average(total.filled_value, total.filled_quantity, 12),
            'code', parent.code, 'field', parent.field, 'reason', parent.reason,
            'created_at', utc(parent.created_at), 'accepted_at', utc(parent.accepted_at),
            'updated_at', utc(parent.updated_at), 'finished_at', utc(parent.finished_at)
        )
    $$
    """,
    """
    CREATE FUNCTION tell_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        number BIGINT := next_event();
        total order_totals;
    BEGIN
        SELECT * INTO total FROM order_totals WHERE order_id = NEW.order_id;
        INSERT INTO events VALUES (
            number, clock_timestamp(), 'order', NEW.account, NEW.strategy_id, NEW.exchange,
            NEW.symbol, NEW.order_id, NEW.execution_id, order_facts(NEW, total)
        );
        RETURN NULL;
    END $$
    """,
    # the order as it is then, with the child that has come to another state
    """
    CREATE FUNCTION tell_of_child() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        number BIGINT := next_event();
        parent parent_orders;
        total order_totals;
    BEGIN
        SELECT * INTO parent FROM parent_orders WHERE order_id = NEW.order_id;
        SELECT * INTO total FROM order_totals WHERE order_id = NEW.order_id;
        INSERT INTO events VALUES (
            number, clock_timestamp(), 'order', NEW.account, NEW.strategy_id, NEW.exchange,
            NEW.symbol, NEW.order_id, coalesce(NEW.compensates, parent.execution_id),
            order_facts(parent, total) || jsonb_build_object('child', jsonb_build_object(
                'index', NEW.child_index,
                'client_order_id', NEW.client_order_id,
                'venue_order_id', NEW.venue_order_id,
                'status', NEW.status,
                'child_type', NEW.child_type,
                'quantity', plain(NEW.quantity),
                'price', plain(NEW.price),
                'filled_quantity', plain(NEW.filled_quantity),
                'reason', NEW.reason
            ))
        );
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tell_of_fill() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        number BIGINT := next_event();
        whose RECORD;
        total order_totals;
    BEGIN
        SELECT parent.order_id, parent.quantity, parent.status, child.child_index,
            coalesce(child.compensates, parent.execution_id) AS execution_id
        INTO whose
        FROM child_orders AS child JOIN parent_orders AS parent USING (order_id)
        WHERE child.client_order_id = NEW.client_order_id;
        IF FOUND THEN
            INSERT INTO order_totals VALUES (
                whose.order_id, NEW.quantity, NEW.quantity * NEW.price
            )
            ON CONFLICT (order_id) DO UPDATE SET
                filled_quantity = order_totals.filled_quantity + excluded.filled_quantity,
                filled_value = order_totals.filled_value + excluded.filled_value
            RETURNING * INTO total;
        END IF;
        INSERT INTO events VALUES (
            number, clock_timestamp(), 'fill', NEW.account, NEW.strategy_id, NEW.exchange,
            NEW.symbol, whose.order_id, whose.execution_id, jsonb_build_object(
                'trade_id', NEW.trade_id,
                'client_order_id', NEW.client_order_id,
                'venue_order_id', NEW.venue_order_id,
                'child_index', whose.child_index,
                'side', NEW.side,
                'price', plain(NEW.price),
                'quantity', plain(NEW.quantity),
                'fee', plain(NEW.fee),
                'fee_asset', NEW.fee_asset,
                'is_maker', NEW.is_maker,
                'traded_at', utc(NEW.traded_at),
                'booked_at', utc(NEW.booked_at),
                'order', CASE WHEN total.order_id IS NOT NULL THEN jsonb_build_object(
                    'status', whose.status,
                    'quantity', plain(whose.quantity),
                    'filled_quantity', plain(total.filled_quantity),
                    'remaining_quantity', plain(whose.quantity - total.filled_quantity),
                    'average_price', average(total.filled_value, total.filled_quantity, 12)
                ) END
            )
        );
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tell_of_position() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        number BIGINT := next_event();
    BEGIN
        INSERT INTO events VALUES (
            number, clock_timestamp(), 'position', NEW.account, NEW.strategy_id, NEW.exchange,
            NEW.symbol, NULL, NULL, jsonb_build_object(
                'quantity', plain(NEW.quantity),
                'average_price', average(NEW.cost, NEW.quantity, 18),
                'cost', plain(NEW.cost),
                'realised_gross', plain(NEW.realised_gross),
                'fees_quote', plain(NEW.fees_quote),
                'fees_other', plain(NEW.fees_other),
                'realised_net', plain(NEW.realised_gross - NEW.fees_quote),
                'cash', plain(NEW.cash),
                'fill_count', NEW.fill_count,
                'traded_at', utc(NEW.traded_at)
            )
        );
        RETURN NULL;
    END $$
    """,
    # its orders tell themselves, under its execution_id
    """
    CREATE FUNCTION tell_of_execution() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        number BIGINT := next_event();
    BEGIN
        INSERT INTO events VALUES (
            number, clock_timestamp(), 'execution', NEW.account, NEW.strategy_id, NULL,
            NEW.plan ->> 'symbol', NULL, NEW.execution_id, jsonb_build_object(
                'kind', NEW.kind,
                'status', NEW.status,
                'venues', NEW.venues,
                'code', NEW.code, 'field', NEW.field, 'reason', NEW.reason,
                'created_at', utc(NEW.created_at), 'accepted_at', utc(NEW.accepted_at),
                'updated_at', utc(NEW.updated_at), 'finished_at', utc(NEW.finished_at),
                'snapshot', NEW.snapshot - 'orders'
            )
        );
        RETURN NULL;
    END $$
    """,
    # an alarm names its object only: what begins with exchange and account, an order, a child of
    # one or a watch on it, or an execution. In this order: an order may have an exchange's name
    """
    CREATE FUNCTION tell_of_alarm_event() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        number BIGINT := next_event();
        place TEXT[] := regexp_match(NEW.object, '^([^/:]+)[/:]([^/:]+)');
        about RECORD;
    BEGIN
        SELECT found.* INTO about FROM (
            SELECT account, NULL AS strategy_id, exchange, NULL AS symbol, NULL AS order_id,
                NULL AS execution_id, 1 AS rank
            FROM account_readiness WHERE exchange = place[1] AND account = place[2]
            UNION ALL
            SELECT account, strategy_id, exchange, symbol, order_id, execution_id, 2
            FROM parent_orders WHERE order_id IN (
                NEW.object, split_part(NEW.object, '/', 1),
                (SELECT child_orders.order_id FROM child_orders
                 WHERE client_order_id = NEW.object)
            )
            UNION ALL
            SELECT account, strategy_id, NULL, plan ->> 'symbol', NULL, execution_id, 3
            FROM executions WHERE execution_id = NEW.object
        ) AS found ORDER BY found.rank LIMIT 1;
        INSERT INTO events VALUES (
            number, clock_timestamp(), 'alarm', about.account, about.strategy_id, about.exchange,
            about.symbol, about.order_id, about.execution_id, jsonb_build_object(
                'id', NEW.id,
                'code', NEW.code,
                'object', NEW.object,
                'detail', NEW.detail,
                'since', utc(NEW.since),
                'acknowledged_at', utc(NEW.acknowledged_at),
                'acknowledged_by', NEW.acknowledged_by,
                'note', NEW.note
            )
        );
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tell_of_trading_state() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        number BIGINT := next_event();
        part TEXT[] := string_to_array(NEW.scope, ':');
    BEGIN
        INSERT INTO events VALUES (
            number, clock_timestamp(), 'trading_state', NULL,
            CASE part[1] WHEN 'strategy' THEN part[2] END,
            CASE WHEN part[1] IN ('venue', 'symbol') THEN part[2] END,
            CASE part[1] WHEN 'symbol' THEN part[3] END,
            NULL, NULL, jsonb_build_object(
                'scope', NEW.scope,
                'state', NEW.state,
                'code', NEW.code,
                'reason', NEW.reason,
                'updated_by', NEW.updated_by,
                'updated_at', utc(NEW.updated_at)
            )
        );
        RETURN NULL;
    END $$
    """,
)


class Told(NamedTuple):
    """What of a table is news: rows that are new, and changes of some columns."""

    teller: str
    columns: str = ""
    is_new_told: bool = True
    when: str = "true"


TOLD: dict[str, Told] = {
    # one that waits for its verdict is nothing yet; the verdict is soon told
    "parent_orders": Told(
        "tell_of_order",
        "status quantity price code field reason amended_request accepted_at finished_at",
        when="NEW.status <> 'pending'",
    ),
    "child_orders": Told(
        "tell_of_child",
        "status",
        is_new_told=False,
        when="NEW.status NOT IN ('new', 'ready', 'sending')",
    ),
    "fills": Told("tell_of_fill"),
    # a row of nothing is made to be locked
    "positions": Told(
        "tell_of_position",
        "quantity cost realised_gross fees_quote fees_other cash fill_count",
        when="NEW.quantity <> 0 OR NEW.fill_count <> 0",
    ),
    "executions": Told("tell_of_execution", "status code field reason finished_at snapshot"),
    "alarms": Told("tell_of_alarm_event", "acknowledged_at"),
    "trading_state": Told("tell_of_trading_state", "state code reason"),
}

# what was filled before: no writer of fills goes on until this has committed
TOTALS = """
    INSERT INTO order_totals
    SELECT child_orders.order_id, sum(fills.quantity), sum(fills.quantity * fills.price)
    FROM fills JOIN child_orders ON child_orders.client_order_id = fills.client_order_id
    GROUP BY child_orders.order_id
    """

DOWN = (
    """
    DROP FUNCTION tell_of_order(), tell_of_child(), tell_of_fill(), tell_of_position(),
        tell_of_execution(), tell_of_alarm_event(), tell_of_trading_state(), next_event(),
        plain(NUMERIC), utc(TIMESTAMPTZ), average(NUMERIC, NUMERIC, INTEGER),
        order_facts(parent_orders, order_totals)
    """,
    "DROP TABLE order_totals, events",
)


def upgrade() -> None:
    """From here on every change is told, whichever version of the engine makes it."""
    for statement in (*TABLES, *HELPERS, *TELLERS):
        op.execute(statement)
    for statement in _triggers():
        op.execute(statement)
    op.execute(TOTALS)


def _triggers() -> Iterator[str]:
    for table, told in TOLD.items():
        if told.is_new_told:
            yield _trigger("told_new", f"INSERT ON {table}", told.when, told.teller)
        if told.columns:
            before, after = (
                ", ".join(f"{row}.{column}" for column in told.columns.split())
                for row in ("OLD", "NEW")
            )
            when = f"({told.when}) AND ROW({before}) IS DISTINCT FROM ROW({after})"
            yield _trigger("told_change", f"UPDATE ON {table}", when, told.teller)


def _trigger(name: str, on: str, when: str, teller: str) -> str:
    return (
        f"CREATE CONSTRAINT TRIGGER {name} AFTER {on} DEFERRABLE INITIALLY DEFERRED "
        f"FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {teller}()"
    )


def downgrade() -> None:
    """Drop it all."""
    for table in TOLD:
        op.execute(f"DROP TRIGGER IF EXISTS told_new ON {table}")
        op.execute(f"DROP TRIGGER IF EXISTS told_change ON {table}")
    for statement in DOWN:
        op.execute(statement)
