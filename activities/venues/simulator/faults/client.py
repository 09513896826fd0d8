"""A client of a paper exchange's control port, for tests, chaos and drills.

Rule: one method per question; amounts go out as text. Raises ControlError with the port's own line
for whatever it refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import aiohttp

REQUEST_TIMEOUT_S = 10


class ControlError(Exception):
    """The control port refused, or did not answer; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleState:
    """One rule: how many requests or events it `seen` that fit, and how often it acted."""

    id: int
    fault: str
    seen: int
    hit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRequest:
    """A request that waits for `release`."""

    id: int
    method: str
    path: str
    params: Mapping[str, str]


class ControlClient:
    """Talks to the control port at `base_url`, as http://127.0.0.1:9101; connects when asked."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Release the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def add(self, fault: str, **options: Any) -> int:
        """Put a rule into force; its id."""
        body = {"fault": fault, "options": _given(options)}
        return int((await self._ask("POST", "/rules", body))["id"])

    async def remove(self, rule_id: int) -> None:
        """Take a rule out of force."""
        await self._ask("DELETE", f"/rules/{rule_id}")

    async def clear(self) -> None:
        """No rules, nothing held; clock, market and streams as usual."""
        await self._ask("POST", "/clear")

    async def rules(self) -> list[RuleState]:
        """All rules in force, oldest first."""
        return [RuleState(**each) for each in await self._ask("GET", "/rules")]

    async def hits(self, rule_id: int) -> int:
        """How often a rule acted."""
        for rule in await self.rules():
            if rule.id == rule_id:
                return rule.hit
        raise ControlError(f"there is no rule {rule_id}")

    async def held(self, rule_id: int, within_s: float = 10) -> HeldRequest:
        """The oldest request that this hold-rule holds, waited for."""
        path = f"/rules/{rule_id}/held?within_s={within_s}"
        found = await self._ask("GET", path, timeout_s=within_s + REQUEST_TIMEOUT_S)
        return HeldRequest(**found)

    async def release(self, held_id: int | None = None) -> None:
        """Let one held request go on; all of them without an id."""
        await self._ask("POST", "/release", {} if held_id is None else {"id": held_id})

    async def act(self, action: str, **options: Any) -> dict[str, Any]:
        """Make the market, the venue or an account's owner do something at once."""
        body = {"action": action, "options": _given(options)}
        told: dict[str, Any] = await self._ask("POST", "/act", body)
        return told

    async def seed(self, number: int) -> None:
        """Begin the draws of all probabilities anew."""
        await self._ask("POST", "/seed", {"number": number})

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        url, timeout = f"{self._base_url}{path}", aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.request(method, url, json=body, timeout=timeout) as answer:
                found = await answer.json()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ControlError(f"the control port did not answer: {error!r}") from error
        if answer.status != 200:
            raise ControlError(found["error"])
        return found


def _given(options: Mapping[str, Any]) -> Any:
    """The options that are not None, as JSON."""
    return _plain({name: value for name, value in options.items() if value is not None})


def _plain(value: Any) -> Any:
    """Amounts as text, also within containers."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
