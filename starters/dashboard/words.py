"""How the dashboard writes things: amounts, times, and a word, a symbol and a tone for each state.

Rule: a tone is never alone: whoever cannot tell the colours reads the word or the symbol. All of it
is text; nothing becomes markup. It must not know pages, elements, or where a value comes from.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from workflows.domain.executions import ExecutionStatus
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.fields import plain

NONE = "–"
_PRECISION = 100
_DIGITS = 8
_LEAST_PLACES = 2
_FEW_S, _MINUTE_S, _HOUR_S, _DAY_S = 10, 60, 3_600, 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A state as it is shown: `icon` names a glyph of the Material icons, `tone` a class."""

    word: str
    icon: str
    tone: str


_GOOD, _INFO, _WARN, _BAD, _MUTE = "good", "info", "warn", "bad", "mute"

_ORDERS = {
    OrderStatus.PENDING: ("pending", "schedule", _INFO),
    OrderStatus.ACCEPTED: ("accepted", "schedule", _INFO),
    OrderStatus.WORKING: ("working", "play_arrow", _INFO),
    OrderStatus.PAUSED: ("paused", "pause", _WARN),
    OrderStatus.WAITING_PRICE: ("waiting for price", "visibility", _INFO),
    OrderStatus.CANCELLING: ("cancelling", "hourglass_top", _WARN),
    OrderStatus.SETTLING: ("settling", "sync", _INFO),
    OrderStatus.FILLED: ("filled", "check_circle", _GOOD),
    OrderStatus.CANCELLED: ("cancelled", "block", _MUTE),
    OrderStatus.EXPIRED: ("expired", "timer_off", _MUTE),
    OrderStatus.DENIED: ("denied", "gpp_bad", _WARN),
    OrderStatus.REJECTED: ("rejected", "cancel", _BAD),
    OrderStatus.FAILED: ("failed", "error", _BAD),
}
_EXECUTIONS = {
    ExecutionStatus.PENDING: ("pending", "schedule", _INFO),
    ExecutionStatus.RUNNING: ("running", "play_arrow", _INFO),
    ExecutionStatus.CANCELLING: ("cancelling", "hourglass_top", _WARN),
    ExecutionStatus.COMPLETED: ("completed", "check_circle", _GOOD),
    ExecutionStatus.PARTIAL: ("partial", "contrast", _WARN),
    ExecutionStatus.UNWOUND: ("unwound", "undo", _WARN),
    ExecutionStatus.RESIDUAL_HELD: ("residual held", "warning", _BAD),
    ExecutionStatus.FAILED: ("failed, nothing traded", "error", _BAD),
    ExecutionStatus.DENIED: ("denied", "gpp_bad", _WARN),
    ExecutionStatus.CANCELLED: ("cancelled", "block", _MUTE),
}
_TRADING = {
    "active": ("trading active", "check_circle", _GOOD),
    "reducing": ("reducing only", "trending_down", _WARN),
    "halted": ("trading halted", "front_hand", _BAD),
}
_CHILDREN = {
    "new": ("schedule", _INFO),
    "ready": ("schedule", _INFO),
    "sending": ("send", _INFO),
    "unknown": ("help", _BAD),
    "working": ("play_arrow", _INFO),
    "cancelling": ("hourglass_top", _WARN),
    "settling": ("sync", _INFO),
    "filled": ("check_circle", _GOOD),
    "cancelled": ("block", _MUTE),
    "expired": ("timer_off", _MUTE),
    "denied": ("gpp_bad", _WARN),
    "rejected": ("cancel", _BAD),
    "not_sent": ("do_not_disturb", _MUTE),
}
_SIDES = {Side.BUY: ("buy", "north_east", "buy"), Side.SELL: ("sell", "south_east", "sell")}


def _badge(found: tuple[str, str, str]) -> Badge:
    word, icon, tone = found
    return Badge(word=word, icon=icon, tone=tone)


def order_badge(status: OrderStatus) -> Badge:
    """An order's state."""
    return _badge(_ORDERS[status])


def execution_badge(status: ExecutionStatus) -> Badge:
    """An execution's state."""
    return _badge(_EXECUTIONS[status])


def child_badge(status: str) -> Badge:
    """A child's state."""
    icon, tone = _CHILDREN.get(status, ("radio_button_unchecked", _MUTE))
    return Badge(word=status.replace("_", " "), icon=icon, tone=tone)


def trading_badge(state: str) -> Badge:
    """A kill switch's state."""
    return _badge(_TRADING.get(state, (state, "help", _WARN)))


def side_badge(side: Side | None) -> Badge:
    """Buy or sell: a word, and an arrow that goes up or down."""
    return _badge(_SIDES[side]) if side else Badge(word=NONE, icon="remove", tone=_MUTE)


def ok_badge(is_ok: bool, yes: str = "ok", no: str = "not ok") -> Badge:
    """Something that is as it should be, or not."""
    return _badge((yes, "check_circle", _GOOD) if is_ok else (no, "error", _BAD))


def _rounded(value: Decimal, places: int) -> Decimal:
    """Half to even, whatever another library has made of the context that all share."""
    with localcontext(rounding=ROUND_HALF_EVEN, prec=_PRECISION):
        return round(value, places)


def amount(value: Decimal | None, places: int | None = None) -> str:
    """With thousands apart, cut to `places` or to what a person reads; `whole` is the exact one."""
    if value is None:
        return NONE
    kept = max(_LEAST_PLACES, _DIGITS - len(str(abs(int(value))))) if places is None else places
    text = f"{_rounded(value, kept):,f}"
    return text.rstrip("0").rstrip(".") if "." in text and places is None else text


def of_unit(value: Decimal | None, unit: str) -> str:
    """An amount with its unit, where there is an amount."""
    return NONE if value is None else f"{amount(value)} {unit}"


def money(value: Decimal | None) -> str:
    """Quote units with a sign, so that gain and loss differ by more than a colour."""
    if value is None:
        return NONE
    text = amount(abs(value), 2)
    if not text.strip("0.,"):
        return text
    return f"{'+' if value > 0 else '−'}{text}"


def signed(value: Decimal | None, places: int | None = None) -> str:
    """With a sign below zero that is as wide as a digit."""
    return amount(value, places).replace("-", "−")


def sign_tone(value: Decimal | None) -> str:
    """The tone of a gain, a loss, or neither."""
    if value is None or value == 0:
        return "even"
    return "gain" if value > 0 else "loss"


def whole(value: Decimal | None) -> str:
    """The exact figure, for whoever points at the shortened one."""
    return NONE if value is None else plain(value)


def percent(part: Decimal | None, total: Decimal | None) -> int:
    """Whole percent, 0 to 100; 100 only when all of it is there."""
    if not part or not total:
        return 0
    return max(0, min(100, int(part * 100 / total)))


def moment(value: str | datetime | None) -> datetime | None:
    """A time as told, in UTC."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value).astimezone(UTC) if value else None


def clock(value: str | datetime | None, now: datetime) -> str:
    """The time of day, with the date unless it is today's. UTC."""
    at = moment(value)
    if at is None:
        return NONE
    is_today = at.date() == now.date()
    return at.strftime("%H:%M:%S" if is_today else "%d %b %H:%M:%S")


def span(seconds: Decimal | float | None) -> str:
    """How long, in the two largest units."""
    if seconds is None:
        return NONE
    left = max(0, round(seconds))
    if left < _FEW_S:
        return f"{_rounded(max(Decimal(0), Decimal(seconds)), 1):f} s"
    if left < _MINUTE_S:
        return f"{left} s"
    if left < _HOUR_S:
        return f"{left // _MINUTE_S} min {left % _MINUTE_S} s"
    if left < _DAY_S:
        return f"{left // _HOUR_S} h {left % _HOUR_S // _MINUTE_S} min"
    return f"{left // _DAY_S} d {left % _DAY_S // _HOUR_S} h"


def listed(fees: dict[str, Decimal]) -> str:
    """Amounts by asset, in one line."""
    return ", ".join(f"{amount(value)} {asset}" for asset, value in sorted(fees.items())) or NONE


def split_symbol(symbol: str | None) -> tuple[str, str]:
    """Base and quote asset of BTC/USDT; empty where they are not known."""
    base, _, quote = (symbol or "").partition("/")
    return base, quote.partition(":")[0]
