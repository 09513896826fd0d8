"""Sending one order, once: what is checked before, how it is sent, what the answer must say.

Prices and quantities are checked against the venue's grid and never moved. A type that the venue's
dialect does not speak is refused before anything is sent. It must not know how orders are read.
"""

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import ccxt

from activities.venues import ccxt_reports as reports
from activities.venues.ccxt_call import venue_call
from activities.venues.ccxt_errors import submission_error
from activities.venues.ccxt_link import CcxtLink
from activities.venues.gateway import OutcomeUnknownError, VenueClockError, VenueRejectedError
from workflows.domain.orders import ChildIntent, ChildType, Side
from workflows.domain.reports import ExecutionReport, RejectionFamily

_PLAIN = frozenset({ChildType.MARKET, ChildType.LIMIT})


class Submission:
    """Sends orders over one link."""

    def __init__(self, link: CcxtLink) -> None:
        self._link = link
        self._client = link.client
        self._dialect = link.dialect

    async def send(self, intent: ChildIntent, signed_at_ms: int) -> ExecutionReport:
        """See VenueGateway.submit."""
        life_ms = self._dialect.request_life.life_ms(self._link.config.validity_window_ms)
        valid_until_ms = signed_at_ms + life_ms
        headers = self._dialect.create_headers(valid_until_ms)
        with venue_call(signed_at_ms=signed_at_ms, headers=headers) as call:
            try:
                async with asyncio.timeout(float(self._link.config.http_deadline_s)):
                    await self._link.need_markets()
                    self._refuse_what_would_be_another(intent)
                    params = self._dialect.create_params(life_ms, valid_until_ms)
                    order = await self._ordered(intent, {**params, **self._self_trade(intent)})
                return self._acknowledged(order, intent)
            except (VenueRejectedError, OutcomeUnknownError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the order may be live
                told = submission_error(error, call, self._dialect, self._link.redactor)
                self._mind(told)
                raise told from None  # the cause's text may hold a signed request

    def _self_trade(self, intent: ChildIntent) -> Mapping[str, str]:
        entry = self._client.market(intent.symbol)["info"]
        return self._dialect.self_trade(entry, intent.reduce_only)

    def _mind(self, told: Exception) -> None:
        if isinstance(told, VenueClockError):
            self._link.expire_clock()
        elif isinstance(told, VenueRejectedError) and told.family is RejectionFamily.FILTER:
            # Our own checks passed: the rules that they were made by may have changed.
            self._link.doubt_markets()

    async def _ordered(self, intent: ChildIntent, params: dict[str, str | bool]) -> Any:
        rendered = self._dialect.render_id(intent.client_order_id)
        native = self._dialect.native
        if native is not None and _is_native(intent):
            return await native.send(self._client, intent, rendered, params)
        params[self._dialect.id_param] = rendered
        if intent.post_only:
            params["postOnly"] = True
        elif intent.child_type is ChildType.LIMIT:
            params["timeInForce"] = intent.time_in_force.value
        price = None if intent.price is None else format(intent.price, "f")
        quantity = format(intent.quantity, "f")
        kind = intent.child_type.value
        return await self._client.create_order(
            intent.symbol, kind, intent.side.value, quantity, price, params
        )

    # What is refused here

    def _refuse_what_would_be_another(self, intent: ChildIntent) -> None:
        self._refuse_off_grid(intent)
        self._refuse_unknown_quantity(intent)
        if self._dialect.native is None and _is_native(intent):
            raise VenueRejectedError(
                f"{self._link.config.venue} is not spoken to in {intent.child_type} orders with "
                "triggers or hidden parts; not sent",
                code="NOT_NATIVE",
                family=RejectionFamily.PERMISSION,
            )

    def _refuse_off_grid(self, intent: ChildIntent) -> None:
        # ccxt would cut the quantity and round the price without a word.
        for round_text, values in (
            (self._client.amount_to_precision, (intent.quantity, intent.display_quantity)),
            (
                self._client.price_to_precision,
                (intent.price, intent.trigger_price, intent.stop_limit_price),
            ),
        ):
            for value in values:
                if value is not None and not _is_unchanged(round_text, intent.symbol, value):
                    raise VenueRejectedError(
                        f"{value} is off the grid of {intent.symbol}; not sent",
                        code="PRECISION",
                        family=RejectionFamily.FILTER,
                    )

    def _refuse_unknown_quantity(self, intent: ChildIntent) -> None:
        is_market_buy = intent.child_type is ChildType.MARKET and intent.side is Side.BUY
        if is_market_buy and self._dialect.buys_market_by_quote:
            raise VenueRejectedError(
                f"{self._link.config.venue} takes a market buy by the money to spend, not by "
                "quantity: use a limit order; not sent",
                code="MARKET_BUY_BY_QUOTE",
                family=RejectionFamily.PERMISSION,
            )

    # The answer

    def _acknowledged(self, order: Any, intent: ChildIntent) -> ExecutionReport:
        told = reports.client_id_text(order)
        if told is not None and told != self._dialect.render_id(intent.client_order_id):
            raise OutcomeUnknownError("the venue answered with another order")
        if self._dialect.ack_fields:
            reports.require_told(order, self._dialect.ack_fields)
            return reports.acknowledgement(order, intent.client_order_id)
        reports.require_told(order, self._dialect.order_fields)
        order = self._dialect.amend_order(order)
        fills = reports.answered_fills(order, fee_asset=intent.symbol.partition("/")[2])
        report = reports.execution_report(order, intent.client_order_id, fills)
        filled = sum((each.quantity for each in fills), Decimal(0))
        if report.executed_quantity > intent.quantity or (
            fills and filled != report.executed_quantity
        ):
            raise OutcomeUnknownError("the venue's answer contradicts itself")
        return report


def _is_native(intent: ChildIntent) -> bool:
    """True for what the venue must work by itself."""
    asked = (
        intent.display_quantity,
        intent.trigger_price,
        intent.trailing_delta_bps,
        intent.stop_limit_price,
    )
    return intent.child_type not in _PLAIN or any(each is not None for each in asked)


def _is_unchanged(round_text: Callable[[str, str], str], symbol: str, value: Decimal) -> bool:
    try:
        return Decimal(round_text(symbol, format(value, "f"))) == value
    except ccxt.InvalidOrder:  # it would be rounded to nothing
        return False
