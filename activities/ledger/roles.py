"""Who may do what in the ledger's database, as roles: the engine's, and a reader's.

Rule: the engine adds rows and changes named state; no role but the owner deletes books, empties a
table or changes the schema. The owner migrates, and nothing else runs as it. Granting twice changes
nothing, and what a role was given besides is taken back.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence

import structlog
from sqlalchemy import Connection, Table, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from activities.ledger import (
    access_models,
    book_models,
    control_models,
    event_models,
    models,
    watch_models,
)

log = structlog.get_logger(__name__)

APP, READER = "delta_app", "delta_ro"
TABLES_ARE_OF = (
    access_models,
    book_models,
    control_models,
    event_models,
    models,
    watch_models,
)
"""The modules whose import makes the tables known."""
APPEND_ONLY = frozenset(
    {
        "audit",
        "fee_values",
        "fills",
        "opening_balances",
        "operator_verdicts",
        "order_actions",
        "postings",
        "risk_checks",
        "transfers",
    }
)
DELETED_FROM = frozenset({"events", "execution_locks", "fees_to_value", "risk_limits"})
_WHOSE = frozenset({"strategy_id", "account", "exchange", "symbol", "side", "created_at"})
FIXED = {
    "parent_orders": _WHOSE | {"order_type", "request"},
    "child_orders": _WHOSE | {"order_id", "child_index", "generation"},
    "reservations": _WHOSE,
    "executions": {"kind", "strategy_id", "account", "plan", "created_at"},
    "position_snapshots": _WHOSE | {"traded_at", "trade_id", "mark", "why", "taken_at"},
    "price_watches": _WHOSE | {"order_id", "armed_at"},
    "alarms": {"code", "object", "since"},
    "api_keys": {"secret_hash", "name", "scopes", "accounts", "created_at", "created_by"},
    "api_sessions": {"key_id", "created_at", "expires_at"},
    "events": _WHOSE | {"at", "kind", "order_id", "execution_id", "data"},
    "breaks": _WHOSE | {"observer", "kind", "object", "first_seen_at"},
    "risk_overrides": {"scope", "code", "reason", "requested_by", "requested_at"},
}
"""Columns that say what a row is about: never changed, besides the keys."""
_SCRAM_ROUNDS = 4096
_SALT_BYTES = 16


def grant(connection: Connection, logins: Sequence[tuple[str, str]]) -> None:
    """Make the roles where they are missing, and give each exactly its rights.

    `logins`: pairs of an address (postgresql://USER:PASSWORD@...) and the role that its user is to
    have; a user that is missing is made. What our own user may not do is logged, and left to an
    administrator. Runs in the caller's transaction; on newest tables only.
    """
    own = connection.scalar(text("SELECT current_user"))
    for role in (APP, READER):
        _try(connection, _create(role))
    for url, role in logins:
        user, password = make_url(url).username, make_url(url).password
        if user is None or user == own:
            continue
        _try(connection, create_login(user, password or ""))
        if user != role and not _has(connection, user, role):
            _try(connection, f"GRANT {role} TO {_quoted(user)}")
    known = "SELECT rolname FROM pg_roles WHERE rolname IN (:app, :reader)"
    present = set(connection.scalars(text(known), {"app": APP, "reader": READER}))
    for role in sorted({APP, READER} - present):
        log.warning("database_role_missing", role=role, fix=f"CREATE ROLE {role}, then migrate")
    for statement in _rights(present):
        connection.exec_driver_sql(statement)


def create_login(name: str, password: str) -> str:
    """The statement that makes a user who may log in; nothing happens where it is there.

    The password is sent as its SCRAM verifier, so that no log of the server holds it. Raises
    ValueError for one that is not plain ASCII, whose normal form only the server knows.
    """
    options = f"LOGIN PASSWORD '{_verifier(password)}'" if password else "LOGIN"
    return _create(name, options)


def _create(name: str, options: str = "NOLOGIN") -> str:
    # two databases of one server may be migrated at once, and the roles are the server's
    return (
        f"DO $make$ BEGIN CREATE ROLE {_quoted(name)} {options}; "
        "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $make$"
    )


def _try(connection: Connection, statement: str) -> None:
    """An administrator may have done it already, or have to: the caller looks what is there."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement)
    except DBAPIError as error:
        # not the statement: it holds a password's verifier
        log.warning("database_role_not_made", error=type(error.orig).__name__)


def _has(connection: Connection, user: str, role: str) -> bool:
    member = "SELECT pg_has_role(rolname, :role, 'MEMBER') FROM pg_roles WHERE rolname = :user"
    try:
        with connection.begin_nested():
            return bool(connection.scalar(text(member), {"user": user, "role": role}))
    except DBAPIError:
        return False  # there is no such role


def _rights(roles: set[str]) -> list[str]:
    """The statements that give the roles their rights, and nothing else."""
    statements = ["REVOKE CREATE ON SCHEMA public FROM PUBLIC"]
    for role in sorted(roles):
        statements += [
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
            f"GRANT USAGE ON SCHEMA public TO {role}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        ]
    if APP in roles:
        statements.append(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {APP}")
        for table in models.LedgerMeta.metadata.sorted_tables:
            statements += _rights_of_engine(table)
    return statements


def _rights_of_engine(table: Table) -> list[str]:
    kept = FIXED.get(table.name, set()) | {column.name for column in table.primary_key}
    state = [column.name for column in table.columns if column.name not in kept]
    given = [f"GRANT INSERT ON {table.name} TO {APP}"]
    if table.name not in APPEND_ONLY and state:
        given.append(f"GRANT UPDATE ({', '.join(state)}) ON {table.name} TO {APP}")
    if table.name in DELETED_FROM:
        given.append(f"GRANT DELETE ON {table.name} TO {APP}")
    return given


def _verifier(password: str) -> str:
    """What PostgreSQL stores of a password (RFC 5803)."""
    if not (password.isascii() and password.isprintable()):
        raise ValueError("the password of a database user must be printable ASCII")
    salt = os.urandom(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ROUNDS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    salt_, stored_, server_ = (base64.b64encode(raw).decode() for raw in (salt, stored, server))
    return f"SCRAM-SHA-256${_SCRAM_ROUNDS}:{salt_}${stored_}:{server_}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
