"""`python -m workers doctor`: is everything there that Delta Executor depends on?

Rule: each dependency gets one line that says ok, or what is wrong and how to put it right; checks
change nothing and run at the same time. Exit code and table are made from the same findings.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table
from temporalio.service import RPCError

from activities.ledger.engine import LEDGER_AWAY, MUST_BE_ON, UNSAFE
from activities.ledger.migrate import newest_revision
from workers import embedded_temporal, search_attributes
from workers.connection import connect
from workers.local_stack import LOCK
from workers.paper_dialects import PAPER_DIALECTS
from workers.pidfile import take_lock
from workers.ports import PortTakenError, check_ports
from workers.settings import Settings, SettingsError, VenueSettings
from workers.stack_parts import StackParts

CHECK_TIMEOUT_S = 10.0
POSTGRES_OLDEST = 15
START = "python -m workers up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    what: str
    ok: bool
    detail: str
    fix: str = ""
    is_warning: bool = False
    """Nothing is wrong yet; `fix` says what would be better."""


async def examine(settings: Settings) -> list[Finding]:
    """Check all dependencies that the settings name."""
    checks = [_postgres(settings), _temporal(settings), _ports(settings)]
    checks += [_venue(settings, name) for name in settings.exchanges]
    found = await asyncio.gather(*(_bounded(check) for check in checks))
    return [finding for findings in found for finding in findings]


def show(findings: list[Finding]) -> None:
    """Print the findings as a table."""
    table = Table("", "what", "found", "how to put it right")
    for each in findings:
        mark = "[green]ok[/green]" if each.ok else "[red]wrong[/red]"
        if each.ok and each.is_warning:
            mark = "[yellow]note[/yellow]"
        is_plain = each.ok and not each.is_warning
        table.add_row(mark, each.what, each.detail, "" if is_plain else each.fix)
    Console(highlight=False).print(table)


async def _bounded(check: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await asyncio.wait_for(check, CHECK_TIMEOUT_S)
    except TimeoutError:
        return [
            Finding(
                what="a check", ok=False, detail=f"no answer in {CHECK_TIMEOUT_S:g} s", fix=START
            )
        ]


async def _postgres(settings: Settings) -> list[Finding]:
    what = "PostgreSQL"
    fix = "check DATABASE_URL" if settings.database_url is not None else START
    try:
        url = settings.dsn().replace("+asyncpg", "", 1)
        connection = await asyncpg.connect(url, timeout=5)
    except SettingsError as error:
        return [Finding(what=what, ok=False, detail=str(error), fix=fix)]
    except LEDGER_AWAY as error:
        return [Finding(what=what, ok=False, detail=f"not reachable: {_line(error)}", fix=fix)]
    try:
        major = connection.get_server_version().major
        table = await connection.fetchval("SELECT to_regclass('alembic_version')::text")
        rows = await connection.fetch("SELECT version_num FROM alembic_version") if table else []
        further = [await _durability(connection)]
        if table:
            further.append(await _role(connection))
            further.append(await _switches(connection))
    finally:
        await connection.close()
    version = Finding(
        what=what,
        ok=major >= POSTGRES_OLDEST,
        detail=f"version {major}",
        fix=f"use PostgreSQL {POSTGRES_OLDEST} or newer",
    )
    return [version, *further, _migrations({str(row["version_num"]) for row in rows})]


async def _durability(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
    off = await connection.fetch(UNSAFE, list(MUST_BE_ON))
    names = ", ".join(sorted(row["name"] for row in off))
    return Finding(
        what="durable commits",
        ok=not names,
        detail=f"off: {names}" if names else ", ".join(MUST_BE_ON),
        fix="set them to on in postgresql.conf: an acknowledged order must survive a crash",
    )


async def _role(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
    """Whoever may delete books, or owns them and so may take the guards off, is one too many."""
    mighty = await connection.fetchval(
        "SELECT has_table_privilege(c.oid, 'DELETE') OR pg_has_role(c.relowner, 'USAGE') "
        "FROM pg_class c WHERE c.oid = to_regclass('fills')"
    )
    user = await connection.fetchval("SELECT current_user")
    return Finding(
        what="database role",
        ok=True,
        is_warning=bool(mighty),
        detail=f"{user} may {'delete' if mighty else 'not delete'} books",
        fix="give the owner's login as DATABASE_OWNER_URL, another user's as DATABASE_URL; migrate",
    )


async def _switches(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
    """A kill switch that is not active is no fault, but whoever wonders why must see it."""
    rows = await connection.fetch(
        "SELECT scope, state FROM trading_state WHERE state <> 'active' ORDER BY scope"
    )
    named = ", ".join(f"{row['scope']} {row['state']}" for row in rows)
    return Finding(
        what="trading state",
        ok=True,
        is_warning=bool(rows),
        detail=named or "active",
        fix="python -m starters trading-state show",
    )


def _migrations(current: set[str]) -> Finding:
    newest = newest_revision()
    is_newest = current == {newest}
    here = ", ".join(sorted(current)) or "none"
    detail = f"at {here}" if is_newest else f"at {here}, newest {newest}"
    fix = "python -m workers migrate"
    return Finding(what="ledger migrations", ok=is_newest, detail=detail, fix=fix)


async def _temporal(settings: Settings) -> list[Finding]:
    what, address = "Temporal", settings.temporal_target
    fix = "check TEMPORAL_ADDRESS" if settings.temporal_address is not None else START
    try:
        client = await connect(settings)
    except RuntimeError:
        return [Finding(what=what, ok=False, detail=f"not reachable at {address}", fix=fix)]
    try:
        kept = await embedded_temporal.retention(client)
        absent = await search_attributes.missing(client)
    except RPCError as error:
        fix = f"temporal operator namespace create -n {client.namespace} --retention 30d"
        detail = f"namespace {client.namespace}: {_line(error)}"
        return [Finding(what="Temporal namespace", ok=False, detail=detail, fix=fix)]
    return [
        Finding(what=what, ok=True, detail=f"{address}, namespace {client.namespace}"),
        Finding(
            what="search attributes",
            ok=not absent,
            detail=f"missing: {', '.join(absent)}" if absent else "registered",
            fix=search_attributes.command(absent, client.namespace, address),
        ),
        Finding(
            what="retention",
            ok=kept >= embedded_temporal.RETENTION,
            detail=f"closed orders are kept {kept.days} days",
            fix=f"temporal operator namespace update -n {client.namespace} --retention 30d",
        ),
    ]


async def _venue(settings: Settings, name: str) -> list[Finding]:
    venue, what = settings.venue(name), f"venue {name}"
    try:
        before_s = time.time()
        venue_s = await (_live_time_s(venue) if venue.is_live else _paper_time_s(venue))
        skew_s = abs(venue_s - (before_s + time.time()) / 2)
    except (OSError, httpx.HTTPError, LookupError, ValueError) as error:
        fix = "check the network and the venue's status" if venue.is_live else START
        return [Finding(what=what, ok=False, detail=f"not reachable: {_line(error)}", fix=fix)]
    kind = "live" if venue.is_live else f"paper at {venue.paper_url}"
    return [
        Finding(
            what=what,
            ok=skew_s <= float(settings.skew_allowance_s),
            detail=f"{kind}, clocks differ by {skew_s:.2f} s",
            fix="set this machine's clock (NTP), or raise SKEW_ALLOWANCE_S",
        )
    ]


async def _paper_time_s(venue: VenueSettings) -> float:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        dialect = PAPER_DIALECTS[venue.name]
        answer = (await client.get(f"{venue.paper_url}{dialect.time_path}")).raise_for_status()
        return dialect.read_time_ms(answer.json()) / 1000


async def _live_time_s(venue: VenueSettings) -> float:
    """The venue's clock by its public endpoint; raises OSError when it does not answer."""
    import ccxt.async_support as ccxt  # heavy, and only live venues need it

    exchange = getattr(ccxt, venue.name)({"timeout": 5000})
    try:
        exchange.set_sandbox_mode(venue.sandbox)
        return float(await exchange.fetch_time()) / 1000
    except ccxt.BaseError as error:
        raise ConnectionError(_line(error)) from error
    finally:
        await exchange.close()


async def _ports(settings: Settings) -> list[Finding]:
    what, home = "ports", settings.home
    if home.run.exists():
        lock = take_lock(home.run / LOCK)
        if lock is None:
            return [Finding(what=what, ok=True, detail="in use by the running local stack")]
        lock.close()
    wanted = StackParts(settings).ports()
    try:
        check_ports(wanted)
    except (PortTakenError, SettingsError) as error:
        fix = "stop what uses it, or change the setting"
        return [Finding(what=what, ok=False, detail=str(error), fix=fix)]
    return [Finding(what=what, ok=True, detail=f"{len(wanted)} free")]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
