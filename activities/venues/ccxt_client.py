"""Builds the ccxt.pro class of a venue, taught to sign with the pinned time of the call.

ccxt signs with a fresh clock each time; a submission must carry the time that history knows.
The pin is read from the call's record, never from the shared instance, so that concurrent
submissions cannot sign with each other's time. It must not know orders or error families.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ccxt.pro

from activities.venues.ccxt_call import current_call
from activities.venues.ccxt_session import HttpSession
from activities.venues.dialects import Dialect
from activities.venues.refreshed import retrieve_exception

STREAM_PING_INTERVAL_MS = 10_000
"""A stream is lost when no pong came for two intervals; ccxt's own interval is minutes."""

_OPTIONS: Mapping[str, Any] = {
    "defaultType": "spot",
    "fetchMarkets": {"types": ["spot"]},
    "fetchMargins": False,
    "fetchCurrencies": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What ccxt signs with. Its repr shows nothing."""

    api_key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        return "Credentials(...)"


class PinnedClock:
    """Mixed into a ccxt class: time and nonce of a pinned call are its pin, else the clock's."""

    timeout_on_exit = 0  # ms; ccxt waits for sessions of its own, and this one is ours
    options: Mapping[str, Any]
    counts_nonces = False
    """The nonce must grow from request to request: it is the time of sending, never a pin."""

    @staticmethod
    def milliseconds() -> int:
        """Milliseconds since the epoch, as far as ccxt can tell."""
        call = current_call()
        if call is not None and call.signed_at_ms is not None:
            return call.signed_at_ms
        return int(ccxt.pro.Exchange.milliseconds())

    def nonce(self) -> Any:
        """The signing timestamp, ms. A pin is on the venue's clock already: no correction."""
        if self.counts_nonces:
            return self._venue_ms()
        call = current_call()
        if call is not None and call.signed_at_ms is not None:
            return call.signed_at_ms
        unpinned: Any = super()
        return unpinned.nonce()

    def seconds(self) -> int:
        """ccxt signs some requests with this; its own is this machine's clock."""
        call = current_call()
        if call is not None and call.signed_at_ms is not None:
            return call.signed_at_ms // 1000
        return self._venue_ms() // 1000

    def _venue_ms(self) -> int:
        machine_ms = int(ccxt.pro.Exchange.milliseconds())
        return machine_ms - int(self.options.get("timeDifference") or 0)

    def sign(self, *request: Any, **named: Any) -> Any:
        """ccxt's hook that signs a request: add the call's headers to a signed one."""
        ccxt_class: Any = super()
        signed = ccxt_class.sign(*request, **named)
        call = current_call()
        if call is not None and call.headers and signed["headers"]:
            signed["headers"] = {**signed["headers"], **call.headers}
        return signed

    def on_rest_response(
        self, code: int, reason: str, url: str, method: str, headers: Any, body: str, *rest: Any
    ) -> Any:
        """ccxt's hook for an answer: put it into the call's record."""
        call = current_call()
        if call is not None:
            call.answered(code, headers, body)
        ccxt_class: Any = super()
        return ccxt_class.on_rest_response(code, reason, url, method, headers, body, *rest)

    def parse_json(self, body: str) -> Any:
        """ccxt passes text that is no JSON on as the answer, and reads an HTML page as an empty
        list of orders. Error statuses are left to ccxt, which judges them by their number."""
        ccxt_class: Any = super()
        answer = ccxt_class.parse_json(body)
        call = current_call()
        if answer is None and (call is None or call.status is None or call.status < 400):
            raise ccxt.pro.BadResponse("the answer is not JSON")
        return answer


class StreamClient(PinnedClock):
    """Mixed into the instance of one stream: reports what ccxt would pass over.

    ccxt tells only those who wait at that moment of a lost connection, and reconnects without
    a word for the next. An exception in a message handler stops its receive loop for good, and
    a silent connection is found out by pings alone.
    """

    is_stopped = False
    late_closing: "asyncio.Future[None] | None" = None
    on_lost: Callable[[str], None]
    on_message: Callable[[object], None]

    def client(self, url: str) -> Any:
        """ccxt's connection to a URL, made at the first call."""
        ccxt_class: Any = super()
        connection = ccxt_class.client(url)
        if not getattr(connection, "is_guarded", False):
            connection.handle_message = self._guarded(connection.handle_message)
            connection.future = _retrieved(connection.future)
            connection.is_guarded = True
        return connection

    def _guarded(self, handle: Callable[[Any], None]) -> Callable[[Any], None]:
        def guarded(message: Any) -> None:
            try:
                handle(message)
            except Exception as error:  # noqa: BLE001 - told to the reader; raised further it
                # would stop the receive loop while the connection looks well
                self.on_lost(f"unreadable message: {type(error).__name__}")

        return guarded

    def on_connected(self, client: Any, message: Any = None) -> None:
        """ccxt's hook for an open connection, which may come after the stream was given up."""
        ccxt_class: Any = super()
        ccxt_class.on_connected(client, message)
        if self.is_stopped:
            self.late_closing = asyncio.ensure_future(client.close())

    def on_error(self, client: Any, error: Any) -> None:
        """ccxt's hook for a broken connection."""
        ccxt_class: Any = super()
        ccxt_class.on_error(client, error)
        self.on_lost(f"connection failed: {type(error).__name__}")

    def on_close(self, client: Any, code: Any) -> None:
        """ccxt's hook for a closed connection."""
        ccxt_class: Any = super()
        ccxt_class.on_close(client, code)
        self.on_lost(f"connection closed: {code}")


class PrivateStreamClient(StreamClient):
    """Mixed into the instance of one private stream."""

    on_watched: Callable[[str], None]
    ignored_events: frozenset[str]
    ending_events: frozenset[str]

    def watch(self, url: str, message_hash: str, *rest: Any) -> Any:
        """ccxt's wait for the next message of a kind."""
        ccxt_class: Any = super()
        future = ccxt_class.watch(url, message_hash, *rest)
        self.on_watched(message_hash)
        return future

    def handle_message(self, client: Any, message: Any) -> None:
        """ccxt's entry for each message."""
        self.on_message(message)
        kind = _event_kind(message)
        if kind in self.ignored_events:
            return
        if kind in self.ending_events:
            self.on_lost(f"the venue ended the stream: {kind}")
            return
        ccxt_class: Any = super()
        ccxt_class.handle_message(client, message)

    def currency_to_precision(self, code: Any, fee: Any, networkCode: Any = None) -> str:  # noqa: N803 - ccxt's name
        """ccxt rounds an order's summed fee, which nothing here reads; a fee in an asset that
        has no market would stop the stream."""
        del code, networkCode
        return str(fee)


class PriceStreamClient(StreamClient):
    """Mixed into the instance of one price stream: ccxt connects, and reads nothing but pongs."""

    def handle_message(self, client: Any, message: Any) -> None:
        """ccxt's entry for each message."""
        if message == "pong":
            ccxt_class: Any = super()
            ccxt_class.handle_message(client, message)
        else:
            self.on_message(message)


def _retrieved(make_future: Callable[[str], Any]) -> Callable[[str], Any]:
    """ccxt's futures, which may fail after their only waiter was cancelled."""

    def future(message_hash: str) -> Any:
        made = make_future(message_hash)
        made.remove_done_callback(retrieve_exception)  # ccxt hands out the same one again
        made.add_done_callback(retrieve_exception)
        return made

    return future


def _event_kind(message: Any) -> str | None:
    if not isinstance(message, dict):
        return None
    event = message.get("event", message)
    kind = event.get("e") if isinstance(event, dict) else None
    return kind if isinstance(kind, str) else None


def _quiet_logger() -> logging.Logger:
    # At DEBUG ccxt writes headers, and with them the API key.
    logger = logging.getLogger(f"{__name__}.wire")
    logger.setLevel(logging.WARNING)
    return logger


def build_client(
    venue: str,
    dialect: Dialect,
    credentials: Credentials,
    session: HttpSession,
    *,
    sandbox: bool,
    http_deadline_s: Decimal,
    validity_window_ms: int,
    mixin: type = PinnedClock,
) -> Any:
    """A ccxt.pro instance of `venue` (a row of the dialect table) on our session.

    Numbers are text; nothing is retried, throttled or loaded besides spot markets.
    """
    ccxt_class = getattr(ccxt.pro, venue)
    pinned_class: Any = type(f"Pinned_{venue}", (mixin, ccxt_class), {})
    config = {
        "apiKey": credentials.api_key,
        "secret": credentials.secret,
        "password": credentials.passphrase,
        "session": session,
        "enableRateLimit": False,
        "timeout": int(http_deadline_s * 1000),
        "options": dict(_OPTIONS),
        "logger": _quiet_logger(),
        "streaming": {"keepAlive": STREAM_PING_INTERVAL_MS},
    }
    life_ms = dialect.request_life.life_ms(validity_window_ms)
    own = {"options": dialect.ccxt_options(life_ms)}
    client = pinned_class(ccxt_class.deep_extend(config, dialect.ccxt_config, own))
    client.number = str
    client.counts_nonces = dialect.counts_nonces
    client.has["fetchCurrencies"] = False
    if sandbox:
        client.set_sandbox_mode(True)
    return client


async def close_client(client: Any) -> None:
    """Close its connections; the HTTP session is not its own and stays open."""
    await client.close()
    # ccxt lets the sockets' last callbacks run after it has closed them.
    await asyncio.sleep(0)
