"""The controls: limits, counters, overrides, verdicts, the audit trail, sums of ended orders.

Down only while nothing of it was used: what a ledger holds is never destroyed by a command.
"""

from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None

APPEND_ONLY = ("operator_verdicts", "audit")

COLUMNS = (
    """
    ALTER TABLE reservations
    ADD COLUMN asset TEXT,
    ADD COLUMN unit_funds NUMERIC DEFAULT 0 NOT NULL,
    ADD COLUMN unit_value NUMERIC DEFAULT 0 NOT NULL
    """,
    """
    ALTER TABLE parent_orders
    ADD COLUMN arrival_price NUMERIC,
    ADD COLUMN looked_at TIMESTAMPTZ
    """,
    """
    ALTER TABLE trading_state
    ADD COLUMN code TEXT,
    ADD COLUMN updated_by TEXT DEFAULT 'engine' NOT NULL
    """,
    """
    ALTER TABLE alarms
    ADD COLUMN acknowledged_by TEXT,
    ADD COLUMN note TEXT DEFAULT '' NOT NULL,
    ADD COLUMN told_at TIMESTAMPTZ,
    ADD COLUMN posted_at TIMESTAMPTZ
    """,
    "UPDATE alarms SET told_at = acknowledged_at WHERE acknowledged_at IS NOT NULL",
    """
    CREATE INDEX parent_orders_open ON parent_orders (strategy_id, exchange, symbol)
    WHERE finished_at IS NULL
    """,
    """
    CREATE INDEX child_orders_resting ON child_orders (exchange, symbol)
    WHERE venue_status = 'open'
    """,
    """
    CREATE INDEX risk_checks_denied ON risk_checks (kind, code) WHERE verdict = 'denied'
    """,
    """
    CREATE INDEX reservations_of_account ON reservations (exchange, account, symbol)
    WHERE state = 'open'
    """,
    """
    CREATE INDEX attempts_unanswered ON attempts (client_order_id)
    WHERE state IN ('SENDING', 'UNKNOWN')
    """,
)

TABLES = (
    """
    CREATE TABLE risk_limits (
        scope TEXT NOT NULL,
        name TEXT NOT NULL,
        value NUMERIC NOT NULL,
        updated_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (scope, name),
        CONSTRAINT value_is_finite CHECK (value > '-Infinity' AND value < 'Infinity'),
        CONSTRAINT limit_not_negative CHECK (value >= 0)
    )
    """,
    """
    CREATE TABLE strategy_counters (
        strategy_id TEXT NOT NULL,
        day DATE NOT NULL,
        parents_today INTEGER DEFAULT 0 NOT NULL,
        rejects_in_row INTEGER DEFAULT 0 NOT NULL,
        disabled TEXT,
        PRIMARY KEY (strategy_id)
    )
    """,
    """
    CREATE TABLE message_windows (
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        second BIGINT NOT NULL,
        current INTEGER NOT NULL,
        previous INTEGER NOT NULL,
        PRIMARY KEY (exchange, account)
    )
    """,
    """
    CREATE TABLE risk_overrides (
        id BIGSERIAL NOT NULL,
        scope TEXT NOT NULL,
        code TEXT NOT NULL,
        reason TEXT NOT NULL,
        requested_by TEXT NOT NULL,
        requested_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        approved_by TEXT,
        approved_at TIMESTAMPTZ,
        expires_at TIMESTAMPTZ NOT NULL,
        revoked_at TIMESTAMPTZ,
        PRIMARY KEY (id),
        CONSTRAINT override_takes_two CHECK (approved_by <> requested_by),
        CONSTRAINT override_is_short CHECK (expires_at <= requested_at + interval '15 minutes')
    )
    """,
    """
    CREATE TABLE operator_verdicts (
        client_order_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        verdict TEXT NOT NULL,
        venue_order_id TEXT,
        reason TEXT NOT NULL,
        decided_by TEXT NOT NULL,
        decided_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (client_order_id, attempt, decided_at),
        FOREIGN KEY (client_order_id) REFERENCES child_orders (client_order_id),
        CONSTRAINT verdict_value CHECK (verdict IN ('absent', 'adopt')),
        CONSTRAINT verdict_names_its_order CHECK (
            (verdict = 'adopt') = (venue_order_id IS NOT NULL)
        )
    )
    """,
    """
    CREATE TABLE audit (
        id BIGSERIAL NOT NULL,
        at TIMESTAMPTZ DEFAULT now() NOT NULL,
        who TEXT NOT NULL,
        action TEXT NOT NULL,
        object TEXT NOT NULL,
        before JSONB,
        after JSONB,
        reason TEXT DEFAULT '' NOT NULL,
        chain TEXT DEFAULT '' NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX audit_of_object ON audit (object, id)",
    """
    CREATE TABLE chores (
        name TEXT NOT NULL,
        begun_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (name)
    )
    """,
    """
    CREATE TABLE order_statistics (
        strategy_id TEXT NOT NULL,
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        order_type TEXT NOT NULL,
        status TEXT NOT NULL,
        orders BIGINT NOT NULL,
        quantity NUMERIC NOT NULL,
        filled_quantity NUMERIC NOT NULL,
        fill_shares NUMERIC NOT NULL,
        filled_value NUMERIC NOT NULL,
        slippage_value NUMERIC NOT NULL,
        measured_value NUMERIC NOT NULL,
        seconds_to_fill NUMERIC NOT NULL,
        timed_orders BIGINT NOT NULL,
        PRIMARY KEY (strategy_id, exchange, symbol, order_type, status)
    )
    """,
)

RULES = (
    """
    CREATE FUNCTION audit_link(before_it TEXT, told audit) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
        SELECT encode(sha256(convert_to(jsonb_build_array(
            before_it, told.id, extract(epoch FROM told.at), told.who, told.action, told.object,
            told.before, told.after, told.reason
        )::text, 'UTF8')), 'hex')
    $$
    """,
    # one writer at a time until it commits: the chain has no branches, and its ids no gaps
    """
    CREATE FUNCTION chain_audit() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        newest audit;
    BEGIN
        PERFORM pg_advisory_xact_lock(4250485);
        SELECT * INTO newest FROM audit ORDER BY id DESC LIMIT 1;
        NEW.id := coalesce(newest.id, 0) + 1;
        NEW.at := clock_timestamp();
        NEW.chain := audit_link(coalesce(newest.chain, ''), NEW);
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER audit_is_chained BEFORE INSERT ON audit
    FOR EACH ROW EXECUTE FUNCTION chain_audit()
    """,
    """
    CREATE FUNCTION audit_broken_at() RETURNS BIGINT LANGUAGE sql STABLE AS $$
        SELECT min(told.id) FROM (
            SELECT linked.*, lag(chain, 1, '') OVER chained AS before_it,
                row_number() OVER chained AS place
            FROM audit AS linked WINDOW chained AS (ORDER BY id)
        ) AS told JOIN audit ON audit.id = told.id
        WHERE told.id <> told.place OR told.chain <> audit_link(told.before_it, audit)
    $$
    """,
    """
    CREATE FUNCTION tell_of_alarm() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('delta_alarms', NEW.id::text);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER alarms_told AFTER INSERT ON alarms
    FOR EACH ROW EXECUTE FUNCTION tell_of_alarm()
    """,
)

# what may still fill counts against funds and sums from the first moment; what an order at the
# market was taken to cost was not kept
RESERVATIONS = """
    UPDATE reservations SET
        asset = split_part(child.symbol, '/', CASE child.side WHEN 'buy' THEN 2 ELSE 1 END),
        unit_funds = CASE child.side
            WHEN 'buy' THEN
                coalesce(greatest(child.price, child.stop_limit_price), child.trigger_price, 0)
            ELSE 1
        END,
        unit_value = coalesce(
            greatest(child.price, child.stop_limit_price, child.trigger_price), 0
        )
    FROM child_orders AS child
    WHERE child.client_order_id = reservations.client_order_id AND reservations.state = 'open'
    """

# the price at their acceptance was not kept, so no slippage is measured on them
STATISTICS = """
    WITH traded AS (
        SELECT child_orders.order_id, sum(fills.quantity) AS quantity,
            sum(fills.quantity * fills.price) AS value
        FROM child_orders JOIN fills ON fills.client_order_id = child_orders.client_order_id
        GROUP BY child_orders.order_id
    ), ended AS (
        SELECT parent_orders.*, coalesce(traded.quantity, 0) AS traded,
            coalesce(traded.value, 0) AS value,
            status = 'filled' AND accepted_at IS NOT NULL AS is_timed
        FROM parent_orders LEFT JOIN traded ON traded.order_id = parent_orders.order_id
        WHERE finished_at IS NOT NULL AND execution_id IS NULL
    )
    INSERT INTO order_statistics (
        strategy_id, exchange, symbol, order_type, status, orders, quantity, filled_quantity,
        fill_shares, filled_value, slippage_value, measured_value, seconds_to_fill, timed_orders
    )
    SELECT strategy_id, exchange, symbol, order_type, status, count(*), sum(quantity),
        sum(traded), sum(round(traded / quantity, 18)), sum(value), 0, 0,
        coalesce(sum(extract(epoch FROM finished_at - accepted_at)) FILTER (WHERE is_timed), 0),
        count(*) FILTER (WHERE is_timed)
    FROM ended
    GROUP BY strategy_id, exchange, symbol, order_type, status
    """

REFUSE_IF_USED = """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM risk_limits) OR EXISTS (SELECT FROM risk_overrides)
            OR EXISTS (SELECT FROM operator_verdicts) OR EXISTS (SELECT FROM audit)
            OR EXISTS (SELECT FROM parent_orders WHERE arrival_price IS NOT NULL)
        THEN
            RAISE EXCEPTION 'the ledger holds decisions or orders of this revision'
                USING ERRCODE = 'restrict_violation';
        END IF;
    END $$
    """

DOWN = (
    REFUSE_IF_USED,
    "DROP TRIGGER alarms_told ON alarms",
    "DROP FUNCTION tell_of_alarm(), audit_broken_at(), audit_link(TEXT, audit)",
    """
    DROP TABLE order_statistics, chores, operator_verdicts, risk_overrides, message_windows,
        strategy_counters, risk_limits, audit
    """,
    "DROP FUNCTION chain_audit()",
    "DROP INDEX parent_orders_open, child_orders_resting, reservations_of_account",
    "DROP INDEX attempts_unanswered, risk_checks_denied",
    """
    ALTER TABLE alarms
    DROP COLUMN acknowledged_by, DROP COLUMN note, DROP COLUMN told_at, DROP COLUMN posted_at
    """,
    "ALTER TABLE trading_state DROP COLUMN code, DROP COLUMN updated_by",
    "ALTER TABLE parent_orders DROP COLUMN arrival_price, DROP COLUMN looked_at",
    """
    ALTER TABLE reservations
    DROP COLUMN asset, DROP COLUMN unit_funds, DROP COLUMN unit_value
    """,
)


def upgrade() -> None:
    """Add what is new, value what is reserved, and count ended orders."""
    for statement in (*COLUMNS, *TABLES, *RULES):
        op.execute(statement)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(RESERVATIONS)
    op.execute(STATISTICS)


def downgrade() -> None:
    """Refused by the database where something of it was used."""
    for statement in DOWN:
        op.execute(statement)
