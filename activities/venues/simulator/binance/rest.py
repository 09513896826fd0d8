"""Binance's REST interface: from the wire to the exchange and back.

Rule: one request is, in this order: parsed, authenticated, checked against its time window, passed
through the seam, checked against the window again, carried out, journaled, passed through the seam
again, answered. Between carrying out and journaling nothing awaits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from activities.venues.simulator.binance import auth, errors, params
from activities.venues.simulator.binance.errors import ApiError
from activities.venues.simulator.binance.history import History
from activities.venues.simulator.binance.market_data import MarketData, Symbols
from activities.venues.simulator.binance.order_lists import OrderLists
from activities.venues.simulator.binance.params import Params
from activities.venues.simulator.binance.trading import Trading
from activities.venues.simulator.binance.weights import WeightCounter
from activities.venues.simulator.delivery import deliver
from activities.venues.simulator.refusals import RefusedError
from activities.venues.simulator.request_log import request_record
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import Answer, RequestContext, RequestHooks

PREFIX = "/api/v3"

PublicCall = Callable[[Params], Any]
SignedCall = Callable[[str, Params], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    """Exactly one of the two calls is set. `weight` counts against the minute's request weight."""

    weight: int
    public: PublicCall | None = None
    signed: SignedCall | None = None


class BinanceRest:
    """All endpoints under /api/v3 of one exchange."""

    def __init__(self, exchange: PaperExchange, hooks: RequestHooks) -> None:
        self._exchange, self.hooks = exchange, hooks
        self._auth = auth.Authenticator(exchange.config.accounts)
        self._weights = WeightCounter()
        symbols = Symbols(exchange)
        self._endpoints = {
            **_public_endpoints(MarketData(exchange, symbols), History(exchange, symbols)),
            **_signed_endpoints(Trading(exchange, symbols), OrderLists(exchange, symbols)),
        }

    async def handle(self, wire: web.Request) -> web.StreamResponse:
        """Answer any request under the prefix."""
        query = wire.raw_path.partition("?")[2]
        body = (await wire.read()).decode("utf-8", "replace")
        path = wire.path.removeprefix(PREFIX)
        endpoint = self._endpoints.get((wire.method, path))
        context = _context(wire, None, {})
        answer = Answer(status=500, body={"code": -1000, "msg": "An unknown error occurred."})
        try:
            sent = params.parse(query, body)
            context = _context(wire, None, sent)
            if endpoint is None:
                raise errors.unsupported()
            reader = Params(sent)
            window: auth.Window | None = None
            if endpoint.signed is not None:
                payload = auth.signed_payload(query, body)
                key = wire.headers.get("X-MBX-APIKEY")
                account, window = self._auth.account(key, payload, reader)
                context = _context(wire, account, sent)
                window.check(self._exchange.now_ms())
            answer = await self._carry_out(endpoint, context, window, reader)
        except RefusedError as refused:
            answer = refusal(errors.of_refusal(refused.reason))
        except ApiError as error:
            answer = refusal(error)
        finally:
            # Also after a bug of ours: what was done is done, and must be on disk.
            self._commit(context, answer)
        answer = await self.hooks.after_book(context, answer)
        used = self._weights.use(endpoint.weight if endpoint else 1, self._exchange.now_ms())
        return await deliver(answer, wire, {"X-MBX-USED-WEIGHT-1M": str(used)})

    async def _carry_out(
        self,
        endpoint: _Endpoint,
        context: RequestContext,
        window: auth.Window | None,
        reader: Params,
    ) -> Answer:
        instead = await self.hooks.before_book(context)
        if instead is not None:
            return instead
        if window is not None:
            window.check(self._exchange.now_ms())
        return Answer(status=200, body=_call(endpoint, context.account, reader))

    def _commit(self, context: RequestContext, answer: Answer) -> None:
        logged = {name: value for name, value in context.params.items() if name != "signature"}
        now_ms = self._exchange.now_ms()
        self._exchange.commit(request_record(context, logged, answer, now_ms))


def _public_endpoints(data: MarketData, history: History) -> dict[tuple[str, str], _Endpoint]:
    return {
        ("GET", "/ping"): _Endpoint(weight=1, public=data.ping),
        ("GET", "/time"): _Endpoint(weight=1, public=data.time),
        ("GET", "/exchangeInfo"): _Endpoint(weight=20, public=data.exchange_info),
        ("GET", "/depth"): _Endpoint(weight=5, public=data.depth),
        ("GET", "/trades"): _Endpoint(weight=25, public=history.trades),
        ("GET", "/historicalTrades"): _Endpoint(weight=25, public=history.historical_trades),
        ("GET", "/aggTrades"): _Endpoint(weight=4, public=history.aggregate_trades),
        ("GET", "/klines"): _Endpoint(weight=2, public=history.klines),
        ("GET", "/ticker/price"): _Endpoint(weight=2, public=data.price),
        ("GET", "/ticker/bookTicker"): _Endpoint(weight=2, public=data.book_ticker),
        ("GET", "/ticker/24hr"): _Endpoint(weight=2, public=data.day_ticker),
    }


def _signed_endpoints(trading: Trading, lists: OrderLists) -> dict[tuple[str, str], _Endpoint]:
    return {
        ("POST", "/order"): _Endpoint(weight=1, signed=trading.create),
        ("GET", "/order"): _Endpoint(weight=4, signed=trading.query),
        ("DELETE", "/order"): _Endpoint(weight=1, signed=trading.cancel),
        ("GET", "/openOrders"): _Endpoint(weight=6, signed=trading.open_orders),
        ("DELETE", "/openOrders"): _Endpoint(weight=1, signed=trading.cancel_open),
        ("POST", "/orderList/oco"): _Endpoint(weight=1, signed=lists.create),
        ("GET", "/orderList"): _Endpoint(weight=4, signed=lists.query),
        ("DELETE", "/orderList"): _Endpoint(weight=1, signed=lists.cancel),
        ("GET", "/openOrderList"): _Endpoint(weight=6, signed=lists.open_lists),
        ("GET", "/allOrderList"): _Endpoint(weight=20, signed=lists.all_lists),
        ("GET", "/myTrades"): _Endpoint(weight=20, signed=trading.my_trades),
        ("GET", "/account"): _Endpoint(weight=20, signed=trading.account),
        ("GET", "/account/commission"): _Endpoint(weight=20, signed=trading.commission),
    }


def _call(endpoint: _Endpoint, account: str | None, reader: Params) -> Any:
    if endpoint.public is not None:
        return endpoint.public(reader)
    assert endpoint.signed is not None, "an endpoint is public or signed"
    assert account is not None, "a signed call has an account"
    return endpoint.signed(account, reader)


def _context(wire: web.Request, account: str | None, sent: Mapping[str, str]) -> RequestContext:
    return RequestContext(
        method=wire.method, path=wire.path, account=account, params=sent, wire=wire
    )


def refusal(error: ApiError) -> Answer:
    """The answer that an error is."""
    body = {"code": error.code, "msg": error.message}
    return Answer(status=error.status, body=body, code=error.code)
