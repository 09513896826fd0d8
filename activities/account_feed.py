"""The account feed's long activity: where it starts from, and how it shows that it lives.

What it does meanwhile is in `feed_follower`.
"""

import asyncio
import time
from datetime import timedelta

import structlog
from temporalio import activity
from temporalio.client import Client

from activities.disconnect_timer import keep_set
from activities.feed_follower import CATCH_UP_EVERY, READY_FOR, Follower, is_behind
from activities.gateways import Gateways, try_again
from activities.ledger.results import TradingState
from activities.ledger.store import LedgerStore
from activities.venues.gateway import VenueUnavailableError
from workflows.domain.alarms import AlarmCode
from workflows.ports import FeedCursor, FeedPort, FollowAccount

log = structlog.get_logger(__name__)

_HEARTBEAT_EVERY_S = 1
_HANGS_AFTER_S = 60
_BLIND_S = READY_FOR.total_seconds()


class FeedActivities(FeedPort):
    """Follows accounts; one activity at a time per account, anywhere in the fleet."""

    def __init__(
        self,
        gateways: Gateways,
        store: LedgerStore,
        client: Client,
        symbols: tuple[str, ...],
        catch_up_every: timedelta = CATCH_UP_EVERY,
    ) -> None:
        self._gateways = gateways
        self._store = store
        self._client = client
        self._symbols = symbols
        self._catch_up_every = catch_up_every
        self._blind_since: dict[tuple[str, str], float] = {}

    @activity.defn(name="follow_account")
    async def follow_account(self, request: FollowAccount) -> FeedCursor:
        """See FeedPort. Ends after its turn, at worker shutdown, or when the stream is lost."""
        gateway = self._gateways[request.venue, request.account]
        follower = Follower(gateway, self._store, self._client, self._symbols, self._catch_up_every)
        follower.cursor = await self._remembered(request)
        heartbeat = asyncio.create_task(_beat(follower))
        timer = asyncio.create_task(keep_set(gateway, lambda: _moves(follower)))
        try:
            await follower.follow()
        except VenueUnavailableError as error:
            log.warning("feed_lost", venue=request.venue, account=request.account, why=str(error))
            await self._note_lost(request, follower, str(error))
            raise try_again(error) from error
        finally:
            heartbeat.cancel()
            timer.cancel()
        return FeedCursor(trade_ids=follower.cursor)

    async def _note_lost(self, request: FollowAccount, follower: Follower, why: str) -> None:
        """A stream may be lost at any time; an account that cannot be read at all needs a human."""
        whose = (request.venue, request.account)
        if follower.has_caught_up:
            self._blind_since.pop(whose, None)
        elif time.monotonic() - self._blind_since.setdefault(whose, time.monotonic()) > _BLIND_S:
            await self._store.raise_alarm(AlarmCode.ACCOUNT_NOT_FOLLOWED, "/".join(whose), why)

    async def _remembered(self, request: FollowAccount) -> dict[str, str]:
        """The ledger's cursor: it moves first, so Temporal's is never ahead of it.

        Unless the ledger was restored from a backup. Then nothing is sent to the venue until a
        human has compared the two: positions may lack what was traded since, and orders may be
        unknown. The ledger's incarnation gets a new name, and everything since its own cursor is
        read again.
        """
        ledgers = await self._store.load_cursors(request.venue, request.account)
        details = activity.info().heartbeat_details
        temporals = dict(request.cursor.trade_ids) if request.cursor else {}
        if details and details[0]["trade_ids"]:  # the first heartbeat precedes the first cursor
            temporals = dict(details[0]["trade_ids"])
        if is_behind(ledgers, temporals):
            await self._stop_trading(request)
        return ledgers

    async def _stop_trading(self, request: FollowAccount) -> None:
        """On a ledger that was restored."""
        log.warning("ledger_restored", venue=request.venue, account=request.account)
        why = "its cursor went back"
        await self._store.set_trading_state(
            f"venue:{request.venue}",
            TradingState.HALTED,
            f"the ledger was restored: {why}",
            only_tighter=True,
        )
        subject = f"{request.venue}/{request.account}"
        await self._store.raise_alarm(AlarmCode.LEDGER_RESTORED, subject, why)
        await self._store.new_epoch()


def _moves(follower: Follower) -> bool:
    return time.monotonic() - follower.moved_at < _HANGS_AFTER_S


async def _beat(follower: Follower) -> None:
    """Heartbeat while the follower moves; one that hangs is taken over by another worker."""
    while _moves(follower):
        activity.heartbeat(FeedCursor(trade_ids=dict(follower.cursor)))
        await asyncio.sleep(_HEARTBEAT_EVERY_S)
