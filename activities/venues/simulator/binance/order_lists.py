"""Binance's signed endpoints for order lists: one-cancels-the-other.

Rule: as in `trading.py`. A list is named by its own id or by the client order id of the list, never
by those of its orders.
"""

from activities.venues.simulator.binance import errors, order_params, order_shapes
from activities.venues.simulator.binance.errors import CLIENT_ID_RANGE
from activities.venues.simulator.binance.market_data import Symbols
from activities.venues.simulator.binance.order_params import ResponseType
from activities.venues.simulator.binance.params import Params
from activities.venues.simulator.binance.shapes import Json
from activities.venues.simulator.orders import Order, OrderList
from activities.venues.simulator.refusals import Reason
from activities.venues.simulator.runtime import PaperExchange
from activities.venues.simulator.specs import SymbolSpec


class OrderLists:
    """The signed endpoints for lists of one exchange."""

    def __init__(self, exchange: PaperExchange, symbols: Symbols) -> None:
        self._exchange, self._symbols = exchange, symbols
        self._engine = exchange.engine

    def create(self, account: str, params: Params) -> Json:
        """POST /orderList/oco."""
        spec = self._symbols.one(params)
        wanted = order_params.new_list(spec, params)
        answer_type = order_params.response_type(params, wanted.above.type, wanted.below.type)
        params.finish()
        made = self._engine.place_list(account, wanted, self._exchange.now_ms())
        orders = self._engine.state.orders
        reports = [_report(spec, orders[each], answer_type) for each in made.order_ids]
        return {**self._shown(made), "orderReports": reports}

    def query(self, account: str, params: Params) -> Json:
        """GET /orderList, by orderListId or origClientOrderId."""
        found = self._find(account, params, "origClientOrderId")
        params.finish()
        if found is None:
            raise errors.no_such_list()
        return self._shown(found)

    def cancel(self, account: str, params: Params) -> Json:
        """DELETE /orderList, by orderListId or listClientOrderId."""
        spec = self._symbols.one(params)
        found = self._find(account, params, "listClientOrderId")
        sent_id = params.matching("newClientOrderId", CLIENT_ID_RANGE)
        cancel_id = sent_id or order_params.random_id()
        params.finish()
        if found is None or found.symbol != spec.name:
            raise errors.of_refusal(Reason.UNKNOWN_LIST)
        self._engine.cancel_list(found, self._exchange.now_ms(), cancel_id)
        orders = self._engine.state.orders
        return order_shapes.list_cancelled(spec, found, orders, cancel_id)

    def open_lists(self, account: str, params: Params) -> list[Json]:
        """GET /openOrderList, of all symbols."""
        params.finish()
        mine = [each for each in self._engine.state.lists.values() if each.account == account]
        return [self._shown(each) for each in mine if not each.is_done]

    def all_lists(self, account: str, params: Params) -> list[Json]:
        """GET /allOrderList: from an id on, or the latest."""
        from_id, limit = params.integer("fromId"), params.limit(500, 1_000)
        params.finish()
        mine = [each for each in self._engine.state.lists.values() if each.account == account]
        if from_id is not None:
            return [self._shown(each) for each in mine if each.list_id >= from_id][:limit]
        return [self._shown(each) for each in mine[-limit:]]

    def _find(self, account: str, params: Params, by_name: str) -> OrderList | None:
        list_id = params.integer("orderListId")
        client_id = params.matching(by_name, CLIENT_ID_RANGE)
        if list_id is None and client_id is None:
            raise errors.neither_sent(by_name, "orderListId")
        return self._engine.state.find_list(account, list_id, client_id)

    def _shown(self, found: OrderList) -> Json:
        state = self._engine.state
        return order_shapes.order_list(state.specs[found.symbol], found, state.orders)


def _report(spec: SymbolSpec, order: Order, answer_type: ResponseType) -> Json:
    match answer_type:
        case ResponseType.ACK:
            return order_shapes.order_acknowledged(spec, order)
        case ResponseType.RESULT:
            return order_shapes.order_result(spec, order)
        case ResponseType.FULL:
            return order_shapes.order_full(spec, order, [], [])
