"""Seeded draws and the rounding of shares: chance that every machine and replay repeats.

A draw is sha256 of what it is for and of a seed, which is the order's id. It must not know orders
or clocks, and never changes: live orders draw again from their seed.
"""

import hashlib
from fractions import Fraction

DRAW_BITS = 64


def draw(seed: str, purpose: str, index: int) -> int:
    """Uniform draw u in [0, 1) of this seed, as the integer u * 2**64.

    u = the first 8 bytes of sha256("<purpose>:<index>:<seed>"), big-endian, over 2**64. The seed
    comes last so that no two (purpose, index, seed) share a text.
    """
    digest = hashlib.sha256(f"{purpose}:{index}:{seed}".encode()).digest()
    return int.from_bytes(digest[: DRAW_BITS // 8], "big")


def drawn_fraction(seed: str, purpose: str, index: int) -> Fraction:
    """The same draw as an exact fraction in [0, 1)."""
    return Fraction(draw(seed, purpose, index), 1 << DRAW_BITS)


def divide_half_up(numerator: int, denominator: int) -> int:
    """floor(numerator / denominator + 1/2) for a positive denominator."""
    return (2 * numerator + denominator) // (2 * denominator)
