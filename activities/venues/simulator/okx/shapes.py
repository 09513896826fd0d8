"""The JSON that OKX answers with about its markets and an account.

Rule: pure functions from the exchange's own records to JSON objects; every figure is a text without
needless zeros, a fee that was paid is negative, and what does not apply to a spot account is "".
Decides nothing.
"""

import zlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from activities.venues.simulator.accounts import Balance
from activities.venues.simulator.book import OrderBook
from activities.venues.simulator.okx.params import SPOT
from activities.venues.simulator.orders import ZERO, Side
from activities.venues.simulator.specs import FeeRates, SymbolSpec
from activities.venues.simulator.tape import PublicTrade, Tape

# JSON objects are of any shape by nature; their types end at this module.
Json = dict[str, Any]


def number(amount: Decimal) -> str:
    """As OKX writes amounts: no exponent, no zeros at the end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def negative(amount: Decimal) -> str:
    """What was paid."""
    return number(-amount) if amount else "0"


def instrument_id(spec: SymbolSpec) -> str:
    """`BTC-USDT` for BTC/USDT."""
    return f"{spec.base}-{spec.quote}"


def user_id(account: str) -> str:
    """The number of an account, the same at any time."""
    return str(zlib.crc32(account.encode()))


# --- market data --------------------------------------------------------------------------------


def instrument(spec: SymbolSpec, *, halted: bool = False) -> Json:
    """One row of public/instruments."""
    unused = ("uly", "instFamily", "settleCcy", "ctVal", "ctMult", "ctValCcy", "ctType")
    return {
        "instType": SPOT,
        "instId": instrument_id(spec),
        "baseCcy": spec.base,
        "quoteCcy": spec.quote,
        "tickSz": number(spec.tick),
        "lotSz": number(spec.lot),
        "minSz": number(spec.least_quantity),
        "maxLmtSz": number(spec.max_quantity),
        "maxMktSz": number(spec.max_notional),
        "maxLmtAmt": number(spec.max_notional),
        "maxMktAmt": number(spec.max_notional),
        "state": "suspend" if halted else "live",
        "ruleType": "normal",
        "listTime": "0",
        **dict.fromkeys((*unused, "optType", "stk", "expTime", "lever"), ""),
    }


def book(found: OrderBook, size: int, now_ms: int) -> Json:
    """The order book, best levels first: price, base quantity, and two columns without meaning."""
    sides = {
        name: [[number(price), number(quantity), "0", "0"] for price, quantity in levels]
        for name, side in (("asks", Side.SELL), ("bids", Side.BUY))
        for levels in [found.depth(side, size)]
    }
    return {**sides, "ts": str(now_ms), "seqId": found.revision}


def ticker(spec: SymbolSpec, found: OrderBook, tape: Tape, now_ms: int) -> Json:
    """Best prices and statistics since the exchange started."""
    row: Json = {"instType": SPOT, "instId": instrument_id(spec), "last": number(tape.last)}
    for name, side in (("ask", Side.SELL), ("bid", Side.BUY)):
        price, quantity = next(iter(found.depth(side, 1)), (ZERO, ZERO))
        row[f"{name}Px"] = number(price) if price else ""
        row[f"{name}Sz"] = number(quantity) if quantity else ""
    return row | {
        "lastSz": number(tape.recent[-1].quantity if tape.recent else ZERO),
        "open24h": number(tape.open or tape.last),
        "high24h": number(tape.high or tape.last),
        "low24h": number(tape.low or tape.last),
        "volCcy24h": number(tape.quote_volume),
        "vol24h": number(tape.volume),
        "ts": str(now_ms),
    }


def public_trade(spec: SymbolSpec, trade: PublicTrade) -> Json:
    """One trade as everybody sees it."""
    return {
        "instId": instrument_id(spec),
        "tradeId": str(trade.trade_id),
        "px": number(trade.price),
        "sz": number(trade.quantity),
        "side": trade.taker_side.lower(),
        "ts": str(trade.ts_ms),
    }


# --- the account --------------------------------------------------------------------------------


def balance_row(asset: str, held: Balance, now_ms: int) -> Json:
    """One asset of an account."""
    total = number(held.free + held.locked)
    unused = ("availEq", "disEq", "eqUsd", "isoEq", "liab", "upl", "maxLoan")
    return {
        "ccy": asset,
        "eq": total,
        "cashBal": total,
        "availBal": number(held.free),
        "frozenBal": number(held.locked),
        "ordFrozen": number(held.locked),
        "uTime": str(now_ms),
        "fixedBal": "0",
        "stgyEq": "0",
        **dict.fromkeys(unused, ""),
    }


def balance_rows(balances: Mapping[str, Balance], now_ms: int) -> list[Json]:
    """One row for each asset that the account holds; what is zero is not told."""
    return [
        balance_row(asset, held, now_ms)
        for asset, held in balances.items()
        if held.free or held.locked
    ]


def balance(details: list[Json], now_ms: int) -> Json:
    """The one row of account/balance."""
    unused = ("totalEq", "adjEq", "availEq", "isoEq", "ordFroz", "imr", "mmr", "mgnRatio", "upl")
    return {"details": details, "uTime": str(now_ms), **dict.fromkeys(unused, "")}


def fee_rates(fees: FeeRates, now_ms: int) -> Json:
    """The one row of account/trade-fee; a commission is negative."""
    unused = ("delivery", "exercise", "makerU", "takerU", "makerUSDC", "takerUSDC")
    return {
        "instType": SPOT,
        "level": "lv1",
        "maker": negative(fees.maker),
        "taker": negative(fees.taker),
        "category": "1",
        "fiat": [],
        "ts": str(now_ms),
        **dict.fromkeys(unused, ""),
    }


def account_config(account: str) -> Json:
    """The one row of account/config: a spot account that may trade."""
    return {
        "uid": user_id(account),
        "mainUid": user_id(account),
        "acctLv": "1",
        "posMode": "net_mode",
        "autoLoan": False,
        "level": "lv1",
        "levelTmp": "",
        "perm": "read_only,trade",
        "label": account,
        "ip": "",
    }
