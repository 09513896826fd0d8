"""Triggers that the engine keeps, what native orders add to a child, and who steered an order.

Down only while nothing of it was used: what a ledger holds is never destroyed by a command.
"""

from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

COLUMNS = (
    """
    ALTER TABLE child_orders
    ADD COLUMN display_quantity NUMERIC,
    ADD COLUMN trigger_price NUMERIC,
    ADD COLUMN trailing_delta_bps INTEGER,
    ADD COLUMN stop_limit_price NUMERIC,
    ADD COLUMN reduce_only BOOLEAN DEFAULT false NOT NULL
    """,
    "ALTER TABLE parent_orders ADD COLUMN amended_request JSONB",
)

WATCHES = (
    """
    CREATE TABLE price_watches (
        watch_id TEXT NOT NULL,
        order_id TEXT NOT NULL,
        exchange TEXT NOT NULL,
        account TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL,
        spec JSONB NOT NULL,
        status TEXT NOT NULL,
        is_active BOOLEAN NOT NULL,
        extreme NUMERIC,
        confirmed INTEGER NOT NULL,
        confirmed_since_ms BIGINT,
        is_blind BOOLEAN DEFAULT false NOT NULL,
        fired JSONB,
        armed_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        ended_at TIMESTAMPTZ,
        told_at TIMESTAMPTZ,
        PRIMARY KEY (watch_id),
        FOREIGN KEY (order_id) REFERENCES parent_orders (order_id),
        CONSTRAINT watch_status CHECK (status IN ('armed', 'fired', 'disarmed')),
        CONSTRAINT watch_fired CHECK ((status = 'fired') = (fired IS NOT NULL)),
        CONSTRAINT extreme_is_finite CHECK (extreme > 0 AND extreme < 'Infinity')
    )
    """,
    "CREATE INDEX ix_price_watches_order_id ON price_watches (order_id)",
    """
    CREATE INDEX price_watches_armed ON price_watches (exchange, symbol) WHERE status = 'armed'
    """,
    """
    CREATE INDEX price_watches_untold ON price_watches (exchange, symbol)
    WHERE status = 'fired' AND told_at IS NULL
    """,
    """
    CREATE TABLE price_followers (
        exchange TEXT NOT NULL,
        symbol TEXT NOT NULL,
        seen_until_ms BIGINT NOT NULL,
        updated_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (exchange, symbol)
    )
    """,
    """
    CREATE FUNCTION tell_of_watch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('price_watches', NEW.exchange || ':' || NEW.symbol);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER price_watches_armed AFTER INSERT ON price_watches
    FOR EACH ROW EXECUTE FUNCTION tell_of_watch()
    """,
    """
    CREATE TRIGGER price_watches_disarmed AFTER UPDATE OF status ON price_watches
    FOR EACH ROW WHEN (NEW.status = 'disarmed') EXECUTE FUNCTION tell_of_watch()
    """,
)

ACTIONS = (
    """
    CREATE TABLE order_actions (
        id BIGSERIAL NOT NULL,
        order_id TEXT NOT NULL,
        action_index INTEGER NOT NULL,
        kind TEXT NOT NULL,
        requested_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        request JSONB,
        verdict TEXT NOT NULL,
        code TEXT,
        field TEXT,
        denial TEXT DEFAULT '' NOT NULL,
        at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY (order_id) REFERENCES parent_orders (order_id),
        CONSTRAINT action_verdict CHECK (verdict IN ('approved', 'denied'))
    )
    """,
    "CREATE INDEX order_actions_of_order ON order_actions (order_id, action_index, id)",
    """
    CREATE TRIGGER order_actions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON order_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)

REFUSE_IF_USED = """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM price_watches) OR EXISTS (SELECT FROM order_actions)
            OR EXISTS (
                SELECT FROM child_orders
                WHERE reduce_only OR display_quantity IS NOT NULL OR trigger_price IS NOT NULL
                    OR trailing_delta_bps IS NOT NULL OR stop_limit_price IS NOT NULL
            )
        THEN
            RAISE EXCEPTION 'the ledger holds triggers, actions or orders of this revision'
                USING ERRCODE = 'restrict_violation';
        END IF;
    END $$
    """

DOWN = (
    REFUSE_IF_USED,
    "DROP TABLE order_actions, price_followers, price_watches",
    "DROP FUNCTION tell_of_watch()",
    "ALTER TABLE parent_orders DROP COLUMN amended_request",
    """
    ALTER TABLE child_orders
    DROP COLUMN display_quantity,
    DROP COLUMN trigger_price,
    DROP COLUMN trailing_delta_bps,
    DROP COLUMN stop_limit_price,
    DROP COLUMN reduce_only
    """,
)


def upgrade() -> None:
    """Add what is new; what is there is not touched, and older workers go on."""
    for statement in (*COLUMNS, *WATCHES, *ACTIONS):
        op.execute(statement)


def downgrade() -> None:
    """Refused by the database where something of it was used."""
    for statement in DOWN:
        op.execute(statement)
