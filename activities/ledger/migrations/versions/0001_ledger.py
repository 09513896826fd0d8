"""The first ledger: tables, and the rules that the database itself enforces.

Fills, postings and risk checks are append-only, and the postings of a fill balance per asset at
every commit, whoever writes. Down is refused: a ledger is never unmade by a command.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

EPOCH_BYTES = 16
APPEND_ONLY = ("fills", "postings", "risk_checks")

TABLES = (
    """
    CREATE TABLE ledger_meta (
        singleton BOOLEAN DEFAULT true NOT NULL,
        epoch TEXT NOT NULL,
        PRIMARY KEY (singleton),
        CONSTRAINT one_row CHECK (singleton)
    )
    """,
    """
    CREATE TABLE parent_orders (
        order_id TEXT NOT NULL,
        run_chain TEXT NOT NULL,
        body_hash TEXT NOT NULL,
        strategy_id TEXT NOT NULL,
        account TEXT NOT NULL,
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL,
        order_type TEXT NOT NULL,
        quantity NUMERIC NOT NULL,
        price NUMERIC,
        priority INTEGER NOT NULL,
        request JSONB NOT NULL,
        status TEXT NOT NULL,
        filled_quantity NUMERIC DEFAULT 0 NOT NULL,
        code TEXT,
        field TEXT,
        reason TEXT DEFAULT '' NOT NULL,
        snapshot JSONB,
        created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        accepted_at TIMESTAMPTZ,
        updated_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        finished_at TIMESTAMPTZ,
        PRIMARY KEY (order_id),
        CONSTRAINT quantity_is_finite CHECK (quantity > 0 AND quantity < 'Infinity')
    )
    """,
    """
    CREATE INDEX parent_orders_by_status ON parent_orders (status, created_at, order_id)
    """,
    """
    CREATE INDEX parent_orders_newest ON parent_orders (created_at, order_id)
    """,
    """
    CREATE INDEX parent_orders_of_strategy
    ON parent_orders (strategy_id, created_at, order_id)
    """,
    """
    CREATE TABLE child_orders (
        client_order_id TEXT NOT NULL,
        order_id TEXT NOT NULL,
        child_index INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        strategy_id TEXT NOT NULL,
        account TEXT NOT NULL,
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL,
        child_type TEXT NOT NULL,
        time_in_force TEXT NOT NULL,
        post_only BOOLEAN NOT NULL,
        quantity NUMERIC NOT NULL,
        price NUMERIC,
        status TEXT NOT NULL,
        venue_order_id TEXT,
        venue_status TEXT,
        executed_quantity NUMERIC DEFAULT 0 NOT NULL,
        filled_quantity NUMERIC DEFAULT 0 NOT NULL,
        reason TEXT DEFAULT '' NOT NULL,
        created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        updated_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (client_order_id),
        CONSTRAINT quantity_is_finite CHECK (quantity > 0 AND quantity < 'Infinity'),
        CONSTRAINT executed_quantity_is_finite CHECK (
            executed_quantity > '-Infinity' AND executed_quantity < 'Infinity'
        ),
        CONSTRAINT child_orders_place UNIQUE (order_id, child_index, generation),
        FOREIGN KEY (order_id) REFERENCES parent_orders (order_id)
    )
    """,
    """
    CREATE INDEX child_orders_at_venue
    ON child_orders (exchange, account, symbol, venue_order_id)
    WHERE venue_order_id IS NOT NULL
    """,
    """
    CREATE TABLE attempts (
        client_order_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        state TEXT NOT NULL,
        signed_at_ms BIGINT,
        claimed_at TIMESTAMPTZ,
        outcome_code TEXT DEFAULT '' NOT NULL,
        outcome_reason TEXT DEFAULT '' NOT NULL,
        PRIMARY KEY (client_order_id, attempt),
        CONSTRAINT attempt_state CHECK (
            state IN ('READY', 'SENDING', 'ACKED', 'REJECTED', 'UNKNOWN', 'CLOSED')
        ),
        FOREIGN KEY (client_order_id) REFERENCES child_orders (client_order_id)
    )
    """,
    """
    CREATE TABLE risk_checks (
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        verdict TEXT NOT NULL,
        code TEXT,
        field TEXT,
        detail TEXT DEFAULT '' NOT NULL,
        checked_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (kind, subject, attempt),
        CONSTRAINT risk_check_kind CHECK (kind IN ('parent', 'child')),
        CONSTRAINT risk_check_verdict CHECK (verdict IN ('approved', 'denied'))
    )
    """,
    """
    CREATE TABLE reservations (
        client_order_id TEXT NOT NULL,
        strategy_id TEXT NOT NULL,
        account TEXT NOT NULL,
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL,
        quantity NUMERIC NOT NULL,
        state TEXT NOT NULL,
        PRIMARY KEY (client_order_id),
        CONSTRAINT reservation_state CHECK (state IN ('open', 'released')),
        CONSTRAINT reservation_quantity CHECK (quantity >= 0 AND quantity < 'Infinity'),
        FOREIGN KEY (client_order_id) REFERENCES child_orders (client_order_id)
    )
    """,
    """
    CREATE INDEX reservations_open
    ON reservations (strategy_id, account, exchange, symbol)
    WHERE state = 'open'
    """,
    """
    CREATE TABLE positions (
        strategy_id TEXT NOT NULL,
        account TEXT NOT NULL,
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        quantity NUMERIC DEFAULT 0 NOT NULL,
        PRIMARY KEY (strategy_id, account, exchange, symbol),
        CONSTRAINT quantity_is_finite CHECK (quantity > '-Infinity' AND quantity < 'Infinity')
    )
    """,
    """
    CREATE TABLE fills (
        id BIGSERIAL NOT NULL,
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        symbol TEXT NOT NULL,
        trade_id TEXT NOT NULL,
        venue_order_id TEXT NOT NULL,
        client_order_id TEXT,
        strategy_id TEXT,
        side TEXT NOT NULL,
        price NUMERIC NOT NULL,
        quantity NUMERIC NOT NULL,
        fee NUMERIC NOT NULL,
        fee_asset TEXT NOT NULL,
        is_maker BOOLEAN NOT NULL,
        traded_at TIMESTAMPTZ NOT NULL,
        booked_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT price_is_finite CHECK (price > 0 AND price < 'Infinity'),
        CONSTRAINT quantity_is_finite CHECK (quantity > 0 AND quantity < 'Infinity'),
        CONSTRAINT fee_is_finite CHECK (fee > '-Infinity' AND fee < 'Infinity'),
        CONSTRAINT fills_once UNIQUE (exchange, account, symbol, trade_id),
        FOREIGN KEY (client_order_id) REFERENCES child_orders (client_order_id)
    )
    """,
    """
    CREATE INDEX fills_of_child ON fills (client_order_id)
    """,
    """
    CREATE TABLE postings (
        fill_id BIGINT NOT NULL,
        entry INTEGER NOT NULL,
        account TEXT NOT NULL,
        asset TEXT NOT NULL,
        amount NUMERIC NOT NULL,
        PRIMARY KEY (fill_id, entry),
        CONSTRAINT amount_is_finite CHECK (amount > '-Infinity' AND amount < 'Infinity'),
        FOREIGN KEY (fill_id) REFERENCES fills (id)
    )
    """,
    """
    CREATE TABLE trading_state (
        scope TEXT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT DEFAULT '' NOT NULL,
        updated_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (scope),
        CONSTRAINT trading_state_value CHECK (state IN ('active', 'reducing', 'halted'))
    )
    """,
    """
    CREATE TABLE account_readiness (
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        state TEXT NOT NULL,
        ready_until TIMESTAMPTZ,
        reason TEXT DEFAULT '' NOT NULL,
        opened_at TIMESTAMPTZ,
        updated_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (exchange, account),
        CONSTRAINT readiness_state CHECK (state IN ('READY', 'RECONCILING'))
    )
    """,
    """
    CREATE TABLE feed_cursors (
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        symbol TEXT NOT NULL,
        trade_id TEXT NOT NULL,
        PRIMARY KEY (exchange, account, symbol)
    )
    """,
    """
    CREATE TABLE opening_balances (
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        asset TEXT NOT NULL,
        amount NUMERIC NOT NULL,
        taken_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (exchange, account, asset),
        CONSTRAINT amount_is_finite CHECK (amount > '-Infinity' AND amount < 'Infinity')
    )
    """,
    """
    CREATE TABLE alarms (
        id BIGSERIAL NOT NULL,
        code TEXT NOT NULL,
        object TEXT NOT NULL,
        detail TEXT NOT NULL,
        since TIMESTAMPTZ DEFAULT now() NOT NULL,
        acknowledged_at TIMESTAMPTZ,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE UNIQUE INDEX alarms_open ON alarms (code, object) WHERE acknowledged_at IS NULL
    """,
)

RULES = (
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE FUNCTION check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM postings WHERE fill_id = NEW.fill_id GROUP BY asset HAVING sum(amount) <> 0
        ) THEN
            RAISE EXCEPTION 'postings of fill % do not balance', NEW.fill_id
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION check_posted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT EXISTS (SELECT FROM postings WHERE fill_id = NEW.id) THEN
            RAISE EXCEPTION 'fill % has no postings', NEW.id USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER postings_balance AFTER INSERT ON postings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_balance()
    """,
    """
    CREATE CONSTRAINT TRIGGER fills_are_posted AFTER INSERT ON fills
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_posted()
    """,
)


def upgrade() -> None:
    """Make everything; the caller's transaction decides whether it stays."""
    for statement in (*TABLES, *RULES):
        op.execute(statement)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    epoch = sa.text("INSERT INTO ledger_meta (epoch) VALUES (:epoch)")
    op.execute(epoch.bindparams(epoch=secrets.token_hex(EPOCH_BYTES)))


def downgrade() -> None:
    """Refused: it would destroy the books."""
    raise RuntimeError("the first revision of a ledger cannot be undone")
