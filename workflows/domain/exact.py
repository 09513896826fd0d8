"""Decimal arithmetic that never rounds.

Python's default context keeps 28 digits; a quantity and a step of 18 decimals each need more.
Sums, products and grid checks of money go through here.
"""

import decimal
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction

_DIGITS = 200
_TRAPS = [decimal.Inexact, decimal.InvalidOperation, decimal.DivisionByZero]


@contextmanager
def exact() -> Iterator[None]:
    """A block whose sums and products keep every digit; an inexact result raises."""
    with decimal.localcontext(decimal.Context(prec=_DIGITS, traps=_TRAPS)):
        yield


def whole_steps(amount: Decimal, step: Decimal) -> int:
    """How many whole steps fit into a non-negative amount."""
    return int(Fraction(amount) / Fraction(step))


def is_multiple(amount: Decimal, step: Decimal) -> bool:
    """True when the amount is a whole number of steps."""
    return (Fraction(amount) / Fraction(step)).denominator == 1


def times(step: Decimal, count: int) -> Decimal:
    """`count` steps, to the last digit."""
    with exact():
        return step * count


def minus(amount: Decimal, taken: Decimal) -> Decimal:
    """The difference, to the last digit."""
    with exact():
        return amount - taken


def floored(amount: Decimal, step: Decimal) -> Decimal:
    """The largest whole number of steps that a non-negative amount holds."""
    return times(step, whole_steps(amount, step))


def rounded(value: Fraction, places: int = 18) -> Decimal:
    """A quotient as a decimal, to the nearest of `places` decimals (a half to the even one)."""
    return times(Decimal(1).scaleb(-places), round(value * 10**places))
