"""Alarms leave the ledger: one line in the log each, and one call of the operators' webhook.

A loop of every worker; the ledger deals the turns. Rule: an alarm is told within ROUND_S of its
birth. A webhook that is away, slow or refuses costs only a pause: it is asked again, later and
later, while the lines go on. Nothing here holds up trading, and what is posted names neither keys
nor addresses. It must not know who raises alarms.
"""

import asyncio
import time
from collections.abc import Sequence

import httpx
import structlog

from activities.ledger.alarm_store import AlarmStore
from activities.ledger.engine import LEDGER_AWAY
from activities.ledger.view_models import AlarmView
from workflows.domain.alarms import advice_on

ROUND_S = 1.0
POST_WITHIN_S = 3.0
LONGEST_PAUSE_S = 60.0

log = structlog.get_logger("delta.alarms")


class AlarmBell:
    """Tells what is new, every ROUND_S. `webhook_url` None: only the log is told."""

    def __init__(self, store: AlarmStore, webhook_url: str | None) -> None:
        self._store = store
        self._webhook_url = webhook_url
        self._failures = 0
        self._post_after = 0.0
        self._is_ledger_away = False

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(
            timeout=POST_WITHIN_S, follow_redirects=False, trust_env=False
        ) as client:
            while True:
                await self.ring(client)
                await asyncio.sleep(ROUND_S)

    async def ring(self, client: httpx.AsyncClient) -> None:
        """One round. A ledger that is away is a round without news."""

        async def post(alarms: Sequence[AlarmView]) -> Sequence[int]:
            return await self._post(client, alarms)

        is_due = self._webhook_url is not None and time.monotonic() >= self._post_after
        try:
            await self._store.tell(_to_log, post if is_due else None)
            self._is_ledger_away = False
        except LEDGER_AWAY as error:
            if not self._is_ledger_away:
                log.warning("alarms_not_told", why=type(error).__name__)
            self._is_ledger_away = True

    async def _post(self, client: httpx.AsyncClient, alarms: Sequence[AlarmView]) -> list[int]:
        """The ids of those that the webhook took."""
        answers = await asyncio.gather(*(self._post_one(client, alarm) for alarm in alarms))
        taken = [alarm.id for alarm, is_taken in zip(alarms, answers, strict=True) if is_taken]
        if len(taken) == len(alarms):
            self._failures = 0
        else:  # one that it will not have must not silence the others
            self._failures = 1 if taken else self._failures + 1
        pause_s = min(2.0 ** min(self._failures, 10), LONGEST_PAUSE_S) if self._failures else 0.0
        self._post_after = time.monotonic() + pause_s
        return taken

    async def _post_one(self, client: httpx.AsyncClient, alarm: AlarmView) -> bool:
        assert self._webhook_url is not None
        try:
            async with (
                asyncio.timeout(POST_WITHIN_S),
                # the answer's body is nobody's business: it is not read
                client.stream("POST", self._webhook_url, json=body_of(alarm)) as answer,
            ):
                why = "" if answer.is_success else f"status {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            why = type(error).__name__  # its text may hold the address, and that is a secret
        if why:
            log.warning("alarm_not_posted", id=alarm.id, code=alarm.code, why=why)
        return not why


def body_of(alarm: AlarmView) -> dict[str, object]:
    """What the webhook is told."""
    return {
        "id": alarm.id,
        "code": alarm.code,
        "object": alarm.object,
        "detail": alarm.detail,
        "since": alarm.since.isoformat(),
        "meaning": advice_on(alarm.code).meaning,
    }


def _to_log(alarm: AlarmView) -> None:
    log.warning("alarm", **body_of(alarm))
