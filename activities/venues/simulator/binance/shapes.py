"""The JSON that Binance answers with.

Rule: pure functions from the exchange's own records to JSON objects; all amounts are strings with
eight places. Decides nothing.
"""

from decimal import Decimal
from typing import Any

from activities.venues.simulator.accounts import Balance
from activities.venues.simulator.book import OrderBook
from activities.venues.simulator.orders import ZERO, OrderType, SelfTradeMode, Side
from activities.venues.simulator.specs import FeeRates, SymbolSpec
from activities.venues.simulator.tape import PublicTrade, Tape

# JSON objects are of any shape by nature; their types end at this module.
Json = dict[str, Any]

ORDER_TYPES = [each.value for each in OrderType]
_PRECISION = 8


def number(amount: Decimal) -> str:
    """With eight places, as Binance writes every amount."""
    return f"{amount:.8f}"


def venue_symbol(spec: SymbolSpec) -> str:
    """`BTCUSDT` for BTC/USDT."""
    return spec.base + spec.quote


def symbol_info(spec: SymbolSpec, *, halted: bool = False) -> Json:
    """One entry of exchangeInfo."""
    return {
        "symbol": venue_symbol(spec),
        "status": "BREAK" if halted else "TRADING",
        "baseAsset": spec.base,
        "baseAssetPrecision": _PRECISION,
        "quoteAsset": spec.quote,
        "quotePrecision": _PRECISION,
        "quoteAssetPrecision": _PRECISION,
        "baseCommissionPrecision": _PRECISION,
        "quoteCommissionPrecision": _PRECISION,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(spec),
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": SelfTradeMode.NONE.value,
        "allowedSelfTradePreventionModes": [mode.value for mode in SelfTradeMode],
    }


def _filters(spec: SymbolSpec) -> list[Json]:
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": number(spec.tick),
            "maxPrice": number(spec.max_price),
            "tickSize": number(spec.tick),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": number(spec.least_quantity),
            "maxQty": number(spec.max_quantity),
            "stepSize": number(spec.lot),
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": number(spec.min_notional),
            "applyMinToMarket": True,
            "maxNotional": number(spec.max_notional),
            "applyMaxToMarket": True,
            "avgPriceMins": 0,
        },
        {"filterType": "ICEBERG_PARTS", "limit": spec.iceberg_parts},
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": spec.trailing_above.least,
            "maxTrailingAboveDelta": spec.trailing_above.most,
            "minTrailingBelowDelta": spec.trailing_below.least,
            "maxTrailingBelowDelta": spec.trailing_below.most,
        },
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": spec.max_algo_orders},
        {"filterType": "MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": spec.max_iceberg_orders},
    ]


def depth(book: OrderBook, limit: int) -> Json:
    """The order book, best levels first."""
    sides = {
        name: [[number(price), number(quantity)] for price, quantity in book.depth(side, limit)]
        for name, side in (("bids", Side.BUY), ("asks", Side.SELL))
    }
    return {"lastUpdateId": book.revision, **sides}


def book_ticker(spec: SymbolSpec, book: OrderBook) -> Json:
    """Best bid and ask; zero where a side is empty."""
    found: Json = {"symbol": venue_symbol(spec)}
    for name, side in (("bid", Side.BUY), ("ask", Side.SELL)):
        price, quantity = next(iter(book.depth(side, 1)), (ZERO, ZERO))
        found[f"{name}Price"] = number(price)
        found[f"{name}Qty"] = number(quantity)
    return found


def day_ticker(spec: SymbolSpec, book: OrderBook, tape: Tape, now_ms: int) -> Json:
    """Statistics since the exchange started."""
    opened = tape.open or tape.last
    change = tape.last - opened
    average = tape.quote_volume / tape.volume if tape.volume else tape.last
    last = tape.recent[-1].trade_id if tape.recent else -1
    return {
        **book_ticker(spec, book),
        "priceChange": number(change),
        "priceChangePercent": f"{change / opened * 100:.3f}",
        "weightedAvgPrice": number(average),
        "prevClosePrice": number(opened),
        "lastPrice": number(tape.last),
        "lastQty": number(tape.recent[-1].quantity if tape.recent else ZERO),
        "openPrice": number(opened),
        "highPrice": number(tape.high or tape.last),
        "lowPrice": number(tape.low or tape.last),
        "volume": number(tape.volume),
        "quoteVolume": number(tape.quote_volume),
        "openTime": tape.opened_ms or now_ms,
        "closeTime": now_ms,
        "firstId": tape.first_id,
        "lastId": last,
        "count": tape.count,
    }


def public_trade(trade: PublicTrade) -> Json:
    """One trade as everybody sees it."""
    return {
        "id": trade.trade_id,
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "quoteQty": number(trade.price * trade.quantity),
        "time": trade.ts_ms,
        "isBuyerMaker": trade.taker_side is Side.SELL,
        "isBestMatch": True,
    }


def balance_rows(balances: dict[str, Balance], *, omit_zero: bool = False) -> list[Json]:
    """One row for each asset."""
    return [
        {"asset": asset, "free": number(balance.free), "locked": number(balance.locked)}
        for asset, balance in balances.items()
        if not omit_zero or balance.free or balance.locked
    ]


def account(balances: dict[str, Balance], fees: FeeRates, now_ms: int, *, omit_zero: bool) -> Json:
    """Balances and commission rates."""
    return {
        "makerCommission": int(fees.maker * 10_000),
        "takerCommission": int(fees.taker * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(fees.maker, fees.taker),
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": now_ms,
        "accountType": "SPOT",
        "balances": balance_rows(balances, omit_zero=omit_zero),
        "permissions": ["SPOT"],
    }


def commission(spec: SymbolSpec, fees: FeeRates) -> Json:
    """The rates of one symbol; nothing is taxed, and nobody pays in the venue's own coin."""
    return {
        "symbol": venue_symbol(spec),
        "standardCommission": _rates(fees.maker, fees.taker),
        "taxCommission": _rates(ZERO, ZERO),
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": number(ZERO),
        },
    }


def _rates(maker: Decimal, taker: Decimal) -> Json:
    return {
        "maker": number(maker),
        "taker": number(taker),
        "buyer": number(ZERO),
        "seller": number(ZERO),
    }
