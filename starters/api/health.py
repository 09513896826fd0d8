"""Health: is this process alive, and can it take an order now.

Liveness asks nothing, so that a broken dependency never restarts us. Readiness asks Temporal, the
ledger, and the ledger's word on each configured account: an account that is being reconciled
trades nothing.
"""

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from starters.api.access import caller_if_any, needs
from starters.api.documentation import QUERY_CODES, error_answers
from starters.api.parameters import only
from starters.client import Unavailable
from starters.connections import Connections
from workers.settings import Settings
from workflows.domain.access import Scope

router = APIRouter(prefix="/health", tags=["health"], dependencies=[Depends(only())])

_ACCOUNT = "account:"
State = Literal["ok", "unavailable"]


class Dependency(BaseModel):
    """One thing that orders need."""

    status: State
    detail: str = Field("", description="what is wrong, in words")


class Health(BaseModel):
    """`ok` only when every dependency is."""

    status: State
    dependencies: dict[str, Dependency] = Field(
        description="`temporal`, `postgresql`, and `account:<exchange>:<account>` for each; "
        "without a key `accounts` for all of them"
    )
    trading_state: dict[str, str] = Field(
        {}, description="kill switches that are not active, by scope; no fault by themselves"
    )

    def in_short(self) -> Self:
        """What anyone may know: which kinds of things are missing, but no account's name."""
        kinds: dict[str, Dependency] = {}
        for name, each in self.dependencies.items():
            kind = "accounts" if name.startswith(_ACCOUNT) else name
            if kind not in kinds or each.status != "ok":
                kinds[kind] = Dependency(status=each.status)
        return self.model_copy(update={"dependencies": kinds, "trading_state": {}})


class Alive(BaseModel):
    """This process answers."""

    status: Literal["ok"] = "ok"


@router.get("/live", dependencies=[Depends(needs())], responses=error_answers(*QUERY_CODES))
async def live() -> Alive:
    """Liveness: the process answers."""
    return Alive()


async def examine(request: Request) -> Health:
    """What every dependency says: anyone may ask, so a crowd shares the question in progress."""
    state = request.app.state
    asked: asyncio.Task[Health] | None = state.health
    if asked is None or asked.done():
        asked = asyncio.create_task(_examine(state.connections, state.settings))
        state.health = asked
    return await asyncio.shield(asked)


async def _examine(connections: Connections, settings: Settings) -> Health:
    """Ask every dependency, at the same time."""
    temporal, (accounts, switches) = await asyncio.gather(
        _state(_ask_temporal(connections)), _accounts(connections, settings)
    )
    dependencies = {"temporal": temporal, **accounts}
    is_ok = all(each.status == "ok" for each in dependencies.values())
    status: State = "ok" if is_ok else "unavailable"
    return Health(status=status, dependencies=dependencies, trading_state=switches)


Examined = Annotated[Health, Depends(examine)]
_DOCUMENTED = {
    **error_answers(*QUERY_CODES),
    HTTPStatus.SERVICE_UNAVAILABLE: {"model": Health, "description": "Something is missing."},
}


@router.get("", dependencies=[Depends(needs(Scope.READ))], responses=_DOCUMENTED)
async def overall(health: Examined, response: Response) -> Health:
    """Every dependency's state; 503 when orders cannot be taken now."""
    return _answer(health, response)


@router.get("/ready", dependencies=[Depends(needs())], responses=_DOCUMENTED)
async def ready(health: Examined, request: Request, response: Response) -> Health:
    """Readiness: 200 when an order can be taken now, else 503. Without a key that reads: only what
    is missing, not why."""
    caller = caller_if_any(request)
    may_read = caller is not None and caller.may(Scope.READ)
    return _answer(health if may_read else health.in_short(), response)


def _answer(health: Health, response: Response) -> Health:
    if health.status != "ok":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return health


async def _ask_temporal(connections: Connections) -> None:
    await (await connections.orders()).check()


async def _state(question: Awaitable[None]) -> Dependency:
    try:
        await question
    except Unavailable as error:
        return Dependency(status="unavailable", detail=str(error))
    return Dependency(status="ok")


async def _accounts(
    connections: Connections, settings: Settings
) -> tuple[dict[str, Dependency], dict[str, str]]:
    """The ledger itself, what it says about each configured account, and its kill switches."""
    try:
        async with connections.ledger() as ledger:
            rows = {(row.exchange, row.account): row for row in await ledger.readiness()}
            switches = await ledger.trading_states()
    except Unavailable as error:
        return {"postgresql": Dependency(status="unavailable", detail=str(error))}, {}
    found = {"postgresql": Dependency(status="ok")}
    for exchange in settings.exchanges:
        for account in settings.accounts(exchange):
            row = rows.get((exchange, account))
            name = f"{_ACCOUNT}{exchange}:{account}"
            if row is None:
                found[name] = Dependency(status="unavailable", detail="its feed never reported")
            elif row.ready:
                found[name] = Dependency(status="ok")
            else:
                found[name] = Dependency(status="unavailable", detail=row.reason or "RECONCILING")
    return found, {row.scope: row.state for row in switches if row.state != "active"}
