"""Lists of a venue, read to their last page and never taken for empty by mistake.

ccxt reads an answer of another shape as an empty list, and an empty list can be the proof that an
order does not exist. So each page's own answer must hold a list. It must not know any venue.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import ccxt

from activities.venues.ccxt_call import current_call

Params = Mapping[str, str]
"""What asks for one page of a list."""

MAX_PAGES = 1_000


def answer_of_call() -> Any:
    """The decoded answer to the last request of the current call. BadResponse without one."""
    call = current_call()
    if call is None or not call.body:
        raise ccxt.BadResponse("no answer to look at")
    return json.loads(call.body)


async def listed(
    fetch: Callable[[Params], Awaitable[list[Any]]],
    is_list: Callable[[object], bool],
    next_page: Callable[[Any, Params], Params | None],
) -> list[Any]:
    """The items of all pages. BadResponse for a page without a list, or too many pages."""
    items: list[Any] = []
    params: Params | None = {}
    for _ in range(MAX_PAGES):
        if params is None:
            return items
        items += await fetch(params)
        answer = answer_of_call()
        if not is_list(answer):
            raise ccxt.BadResponse("an answer without its list")
        params = next_page(answer, params)
    raise ccxt.BadResponse(f"a list of more than {MAX_PAGES} pages")


def one_page(answer: object, params: Params) -> Params | None:
    """For lists that the venue gives as a whole."""
    del answer, params
    return None


def with_id(orders: list[Any], rendered_id: str) -> Any | None:
    """The one order among these that carries our id; the venue's own filter is not trusted."""
    return next((order for order in orders if order.get("clientOrderId") == rendered_id), None)


def not_found(rendered_id: str) -> ccxt.OrderNotFound:
    """What a look-up raises that has looked everywhere."""
    return ccxt.OrderNotFound(f"no order {rendered_id}")
