"""The books: positions at cost, balances, marks, values of fees, snapshots, differences.

What follows from fills and opening balances is counted here, so that it is right from the first
moment. Down only while no fill was booked: what a ledger holds is never destroyed by a command.
"""

from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None

APPEND_ONLY = ("transfers", "fee_values")

COLUMNS = (
    """
    ALTER TABLE positions
    ADD COLUMN cost NUMERIC DEFAULT 0 NOT NULL,
    ADD COLUMN realised_gross NUMERIC DEFAULT 0 NOT NULL,
    ADD COLUMN fees_quote NUMERIC DEFAULT 0 NOT NULL,
    ADD COLUMN fees_other NUMERIC DEFAULT 0 NOT NULL,
    ADD COLUMN cash NUMERIC DEFAULT 0 NOT NULL,
    ADD COLUMN fill_count BIGINT DEFAULT 0 NOT NULL,
    ADD COLUMN traded_at TIMESTAMPTZ,
    ADD COLUMN trade_id TEXT
    """,
    "CREATE INDEX fills_of_account ON fills (exchange, account, traded_at)",
    """
    CREATE INDEX fills_of_position ON fills (strategy_id, account, exchange, symbol, traded_at)
    """,
)

TABLES = (
    """
    CREATE TABLE account_balances (
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        asset TEXT NOT NULL,
        amount NUMERIC DEFAULT 0 NOT NULL,
        PRIMARY KEY (exchange, account, asset),
        CONSTRAINT amount_is_finite CHECK (amount > '-Infinity' AND amount < 'Infinity')
    )
    """,
    """
    CREATE TABLE venue_balances (
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        asset TEXT NOT NULL,
        total NUMERIC NOT NULL,
        free NUMERIC NOT NULL,
        read_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (exchange, account, asset),
        CONSTRAINT total_is_finite CHECK (total > '-Infinity' AND total < 'Infinity'),
        CONSTRAINT free_is_finite CHECK (free > '-Infinity' AND free < 'Infinity')
    )
    """,
    """
    CREATE TABLE transfers (
        id BIGSERIAL NOT NULL,
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        asset TEXT NOT NULL,
        amount NUMERIC NOT NULL,
        reason TEXT NOT NULL,
        booked_by TEXT NOT NULL,
        booked_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT amount_is_finite CHECK (amount > '-Infinity' AND amount < 'Infinity'),
        CONSTRAINT transfer_moves CHECK (amount <> 0)
    )
    """,
    """
    CREATE TABLE marks (
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        price NUMERIC NOT NULL,
        marked_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (exchange, symbol),
        CONSTRAINT price_is_finite CHECK (price > 0 AND price < 'Infinity')
    )
    """,
    """
    CREATE TABLE fee_values (
        fill_id BIGINT NOT NULL,
        rate NUMERIC NOT NULL,
        source TEXT NOT NULL,
        valued_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (fill_id),
        FOREIGN KEY (fill_id) REFERENCES fills (id),
        CONSTRAINT rate_is_finite CHECK (rate > 0 AND rate < 'Infinity')
    )
    """,
    """
    CREATE TABLE fees_to_value (
        fill_id BIGINT NOT NULL,
        PRIMARY KEY (fill_id),
        FOREIGN KEY (fill_id) REFERENCES fills (id)
    )
    """,
    """
    CREATE TABLE position_snapshots (
        id BIGSERIAL NOT NULL,
        strategy_id TEXT NOT NULL,
        account TEXT NOT NULL,
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        traded_at TIMESTAMPTZ,
        trade_id TEXT,
        fill_count BIGINT NOT NULL,
        quantity NUMERIC NOT NULL,
        cost NUMERIC NOT NULL,
        realised_gross NUMERIC NOT NULL,
        fees_quote NUMERIC NOT NULL,
        fees_other NUMERIC NOT NULL,
        cash NUMERIC NOT NULL,
        mark NUMERIC,
        marked_at TIMESTAMPTZ,
        why TEXT NOT NULL,
        taken_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT snapshot_why CHECK (why IN ('time', 'day', 'fills'))
    )
    """,
    """
    CREATE INDEX position_snapshots_newest
    ON position_snapshots (strategy_id, account, exchange, symbol, taken_at)
    """,
    """
    CREATE TABLE external_orders (
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        symbol TEXT NOT NULL,
        venue_order_id TEXT NOT NULL,
        side TEXT NOT NULL,
        quantity NUMERIC NOT NULL,
        price NUMERIC,
        executed_quantity NUMERIC DEFAULT 0 NOT NULL,
        status TEXT NOT NULL,
        first_seen_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        last_seen_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (exchange, account, symbol, venue_order_id),
        CONSTRAINT quantity_is_finite CHECK (quantity > 0 AND quantity < 'Infinity'),
        CONSTRAINT executed_quantity_is_finite CHECK (
            executed_quantity > '-Infinity' AND executed_quantity < 'Infinity'
        )
    )
    """,
    """
    CREATE TABLE breaks (
        id BIGSERIAL NOT NULL,
        observer TEXT NOT NULL,
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        kind TEXT NOT NULL,
        object TEXT NOT NULL,
        ours NUMERIC,
        theirs NUMERIC,
        value NUMERIC,
        detail TEXT DEFAULT '' NOT NULL,
        first_seen_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        last_seen_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        alarmed_at TIMESTAMPTZ,
        acted_at TIMESTAMPTZ,
        resolved_at TIMESTAMPTZ,
        PRIMARY KEY (id),
        CONSTRAINT break_observer CHECK (observer IN ('sync', 'drop_copy'))
    )
    """,
    """
    CREATE UNIQUE INDEX breaks_open ON breaks (observer, exchange, account, kind, object)
    WHERE resolved_at IS NULL
    """,
)

BALANCES = """
    INSERT INTO account_balances (exchange, account, asset, amount)
    SELECT exchange, account, asset, sum(amount) FROM (
        SELECT exchange, account, asset, amount FROM opening_balances
        UNION ALL
        SELECT fills.exchange, fills.account, postings.asset, postings.amount
        FROM postings JOIN fills ON fills.id = postings.fill_id
        WHERE postings.account = 'trading'
    ) AS moved
    GROUP BY exchange, account, asset
    """

# net of what fees took; what it cost is counted from the fills, in their order, by the engine
NET_QUANTITIES = """
    UPDATE positions SET quantity = quantity - paid.fee, fill_count = -1
    FROM (
        SELECT coalesce(strategy_id, 'EXTERNAL') AS owner, account, exchange, symbol,
            sum(CASE WHEN fee_asset = split_part(symbol, '/', 1) THEN fee ELSE 0 END) AS fee
        FROM fills
        GROUP BY owner, account, exchange, symbol
    ) AS paid
    WHERE positions.strategy_id = paid.owner AND positions.account = paid.account
        AND positions.exchange = paid.exchange AND positions.symbol = paid.symbol
    """

FEES_TO_VALUE = """
    INSERT INTO fees_to_value
    SELECT id FROM fills
    WHERE fee <> 0 AND fee_asset NOT IN (split_part(symbol, '/', 1), split_part(symbol, '/', 2))
    """

# A worker of the version before books gross quantities and moves no balance. What it books is put
# right here, in its own transaction; the position is counted again by the engine.
OLDER_WORKERS = (
    """
    CREATE FUNCTION book_for_older_worker() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        -- no transaction is open for so many fills of others
        since BIGINT := pg_sequence_last_value('fills_id_seq') - 100000;
    BEGIN
        INSERT INTO account_balances (exchange, account, asset, amount)
        SELECT NEW.exchange, NEW.account, postings.asset, sum(postings.amount)
        FROM fills JOIN postings ON postings.fill_id = fills.id
        WHERE fills.id > since AND fills.xmin = pg_current_xact_id()::xid
            AND postings.account = 'trading'
            AND coalesce(fills.strategy_id, 'EXTERNAL') = NEW.strategy_id
            AND fills.exchange = NEW.exchange AND fills.account = NEW.account
            AND fills.symbol = NEW.symbol
        GROUP BY postings.asset ORDER BY postings.asset
        ON CONFLICT (exchange, account, asset)
        DO UPDATE SET amount = account_balances.amount + excluded.amount;
        INSERT INTO fees_to_value
        SELECT id FROM fills
        WHERE id > since AND xmin = pg_current_xact_id()::xid AND fee <> 0
            AND exchange = NEW.exchange AND account = NEW.account AND symbol = NEW.symbol
            AND fee_asset NOT IN (split_part(symbol, '/', 1), split_part(symbol, '/', 2))
        ON CONFLICT DO NOTHING;
        NEW.fill_count := -1;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER positions_by_older_worker BEFORE UPDATE OF quantity ON positions
    FOR EACH ROW WHEN (NEW.quantity <> OLD.quantity AND NEW.fill_count = OLD.fill_count)
    EXECUTE FUNCTION book_for_older_worker()
    """,
)

REFUSE_IF_USED = """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM fills) OR EXISTS (SELECT FROM transfers)
            OR EXISTS (SELECT FROM external_orders) OR EXISTS (SELECT FROM breaks)
        THEN
            RAISE EXCEPTION 'the ledger holds books of this revision'
                USING ERRCODE = 'restrict_violation';
        END IF;
    END $$
    """

DOWN = (
    REFUSE_IF_USED,
    "DROP TRIGGER positions_by_older_worker ON positions",
    "DROP FUNCTION book_for_older_worker()",
    """
    DROP TABLE breaks, external_orders, position_snapshots, fees_to_value, fee_values, marks,
        transfers, venue_balances, account_balances
    """,
    "DROP INDEX fills_of_account, fills_of_position",
    """
    ALTER TABLE positions
    DROP COLUMN cost, DROP COLUMN realised_gross, DROP COLUMN fees_quote, DROP COLUMN fees_other,
    DROP COLUMN cash, DROP COLUMN fill_count, DROP COLUMN traded_at, DROP COLUMN trade_id
    """,
)


def upgrade() -> None:
    """Add what is new, and count it from what is there; older workers go on."""
    for statement in (*COLUMNS, *TABLES):
        op.execute(statement)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(BALANCES)
    op.execute(NET_QUANTITIES)
    op.execute(FEES_TO_VALUE)
    for statement in OLDER_WORKERS:
        op.execute(statement)


def downgrade() -> None:
    """Refused by the database where something of it was used."""
    for statement in DOWN:
        op.execute(statement)
