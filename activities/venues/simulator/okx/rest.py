"""OKX's REST interface: from the wire to the exchange and back.

Rule: one request is, in this order: parsed, authenticated, checked against its time, passed through
the seam, checked against its time again, carried out, journaled, passed through the seam again,
answered. Between carrying out and journaling nothing awaits. Of several orders in one request each
is carried out or refused by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from activities.venues.simulator.delivery import deliver
from activities.venues.simulator.okx import answers, auth, errors, params
from activities.venues.simulator.okx.account import Account
from activities.venues.simulator.okx.answers import PREFIX
from activities.venues.simulator.okx.errors import ApiError
from activities.venues.simulator.okx.history import History
from activities.venues.simulator.okx.market_data import Instruments, MarketData
from activities.venues.simulator.okx.params import Params
from activities.venues.simulator.okx.shapes import Json
from activities.venues.simulator.okx.trading import Trading
from activities.venues.simulator.request_log import request_record
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.seams import Answer, RequestContext, RequestHooks

_JSON = "application/json"

PublicCall = Callable[[Params], list[Any]]
SignedCall = Callable[[str, Params], list[Json]]
OrderCall = Callable[[str, Params], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    """Exactly one of the three calls is set; `order` is called once for each order of the body.

    `in_body`: the parameters of a signed call are there.

    `may_expire`: the `expTime` of such a request counts.
    """

    public: PublicCall | None = None
    signed: SignedCall | None = None
    order: OrderCall | None = None
    in_bulk: bool = False
    in_body: bool = False
    may_expire: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request that was read: its endpoint, and the parameters or the orders of it."""

    endpoint: _Endpoint
    rows: list[dict[str, Any]]
    life: auth.Life | None
    arrived_ms: int


class OkxRest:
    """All endpoints under /api/v5 of one exchange."""

    def __init__(self, exchange: PaperExchange, hooks: RequestHooks) -> None:
        self._exchange, self.hooks = exchange, hooks
        self._auth = auth.Authenticator(exchange.config.accounts)
        instruments = Instruments(exchange)
        self._endpoints = _endpoints(
            MarketData(exchange, instruments),
            History(exchange, instruments),
            Trading(exchange, instruments),
            Account(exchange, instruments),
        )
        self._paths = {path for _, path in self._endpoints}

    async def handle(self, wire: web.Request) -> web.StreamResponse:
        """Answer any request under the prefix."""
        body = await wire.read()
        context = _context(wire, None, [])
        answer = Answer(
            status=500, body={"code": "50026", "msg": "System error. Try again later", "data": []}
        )
        try:
            endpoint = self._endpoint(wire)
            rows = _rows(wire, body, endpoint)
            context = _context(wire, None, rows)
            life: auth.Life | None = None
            if endpoint.public is None:
                path = wire.raw_path
                account = self._auth.account(wire.headers, wire.method, path, body)
                context = _context(wire, account, rows)
                life = auth.life(wire.headers, may_expire=endpoint.may_expire)
                life.check_arrival(self._exchange.now_ms())
            asked = _Asked(
                endpoint=endpoint, rows=rows, life=life, arrived_ms=self._exchange.now_ms()
            )
            answer = await self._carry_out(asked, context)
        except ApiError as error:
            answer = answers.refusal(error, context, self._exchange.now_ms())
        finally:
            # Also after a bug of ours: what was done is done, and must be on disk.
            now_ms = self._exchange.now_ms()
            self._exchange.commit(request_record(context, context.params, answer, now_ms))
        answer = await self.hooks.after_book(context, answer)
        return await deliver(answer, wire)

    def _endpoint(self, wire: web.Request) -> _Endpoint:
        path = wire.path.removeprefix(PREFIX)
        found = self._endpoints.get((wire.method, path))
        if found is None:
            raise errors.wrong_method() if path in self._paths else errors.unknown_path()
        return found

    async def _carry_out(self, asked: _Asked, context: RequestContext) -> Answer:
        instead = await self.hooks.before_book(context)
        if instead is not None:
            return instead
        if asked.life is not None:
            asked.life.check_again(self._exchange.now_ms())
        endpoint, account = asked.endpoint, context.account
        if endpoint.public is not None:
            return answers.data(endpoint.public(Params(asked.rows[0])))
        assert account is not None, "a signed call has an account"
        if endpoint.signed is not None:
            return answers.data(endpoint.signed(account, Params(asked.rows[0])))
        assert endpoint.order is not None, "an endpoint is public, signed or of orders"
        done = [self._row(endpoint.order, account, row) for row in asked.rows]
        return answers.outcome(done, asked.arrived_ms, self._exchange.now_ms())

    def _row(self, call: OrderCall, account: str, row: dict[str, Any]) -> Json:
        try:
            return call(account, Params(row))
        except ApiError as error:
            named = row.get("clOrdId")
            shown = named if isinstance(named, str) else ""
            return answers.failed_row(error, shown, self._exchange.now_ms())


def _endpoints(
    data: MarketData, history: History, trading: Trading, account: Account
) -> dict[tuple[str, str], _Endpoint]:
    create, cancel = trading.create, trading.cancel
    return {
        ("GET", "/public/time"): _Endpoint(public=data.time),
        ("GET", "/public/instruments"): _Endpoint(public=data.instruments),
        ("GET", "/market/books"): _Endpoint(public=data.book),
        ("GET", "/market/books-full"): _Endpoint(public=data.full_book),
        ("GET", "/market/ticker"): _Endpoint(public=data.ticker),
        ("GET", "/market/tickers"): _Endpoint(public=data.tickers),
        ("GET", "/market/index-tickers"): _Endpoint(public=data.index_tickers),
        ("GET", "/public/mark-price"): _Endpoint(public=data.mark_prices),
        ("GET", "/market/trades"): _Endpoint(public=history.trades),
        ("GET", "/market/history-trades"): _Endpoint(public=history.older_trades),
        ("GET", "/market/candles"): _Endpoint(public=history.candles),
        ("GET", "/market/history-candles"): _Endpoint(public=history.complete_candles),
        ("GET", "/account/balance"): _Endpoint(signed=account.balance),
        ("GET", "/account/trade-fee"): _Endpoint(signed=account.fee_rates),
        ("GET", "/account/config"): _Endpoint(signed=account.config),
        ("POST", answers.PLACE): _Endpoint(order=create, may_expire=True),
        ("POST", answers.PLACE_MANY): _Endpoint(order=create, may_expire=True, in_bulk=True),
        ("POST", answers.CANCEL): _Endpoint(order=cancel),
        ("POST", answers.CANCEL_MANY): _Endpoint(order=cancel, in_bulk=True),
        ("POST", "/trade/cancel-all-after"): _Endpoint(
            signed=trading.cancel_all_after, in_body=True
        ),
        ("GET", "/trade/order"): _Endpoint(signed=trading.query),
        ("GET", "/trade/orders-pending"): _Endpoint(signed=trading.pending),
        ("GET", "/trade/orders-history"): _Endpoint(signed=trading.history),
        ("GET", "/trade/orders-history-archive"): _Endpoint(signed=trading.history),
        ("GET", "/trade/fills"): _Endpoint(signed=account.fills),
        ("GET", "/trade/fills-history"): _Endpoint(signed=account.fills_history),
    }


def _rows(wire: web.Request, body: bytes, endpoint: _Endpoint) -> list[dict[str, Any]]:
    """The orders of the body, or the parameters of the query as the only row."""
    query = wire.raw_path.partition("?")[2]
    if endpoint.order is None and not endpoint.in_body:
        return [params.of_query(query)]
    if body and wire.content_type != _JSON:
        raise errors.bad_content_type()
    return params.of_body(body.decode("utf-8", "replace"), in_bulk=endpoint.in_bulk)


def _context(wire: web.Request, account: str | None, rows: list[dict[str, Any]]) -> RequestContext:
    return RequestContext(
        method=wire.method,
        path=wire.path,
        account=account,
        params=params.as_texts(rows),
        wire=wire,
    )
