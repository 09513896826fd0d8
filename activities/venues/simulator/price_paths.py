"""How prices wander: a fair value that all venues of a seed share, and each venue's own offset.

Theory. The fair value is a mean-reverting walk. A venue stays behind it or runs ahead of it: its
offset follows, a little late, a target that is itself a mean-reverting walk, so that it moves
smoothly. Two venues' prices therefore differ by more than their fees every few minutes, for about a
minute, and come back. All is counted in steps of the market and depends on the seed and the names
alone. Distances are relative: 0.001 is 0.1 %. Floats end here and in the feeds.
"""

import random

_PULL = 0.002  # share of the fair value's distance to the anchor that one step takes back
_SIGMA = 0.00003  # of one step: 0.3 basis points
_TARGET_PULL = 0.004  # the target of an offset forgets itself within about 50 s
_TARGET_SIGMA = 0.000224  # of one step; the target is 0.25 % off on average
_FOLLOW = 0.02  # share of the way to its target that an offset goes in one step: 10 s behind it
_MAX_FAIR = 0.002
_MAX_OFFSET = 0.004  # with the fair value and the quotes a book stays within 1 % of the anchor


class FairPath:
    """The relative distance of a symbol's fair value from its anchor; the same at all venues."""

    def __init__(self, seed: int, symbol: str) -> None:
        self._random = _random(f"{seed}:{symbol}:fair")
        self._distance = 0.0

    def step(self) -> float:
        """The distance after one more step."""
        moved = self._distance * (1 - _PULL) + self._random.gauss(0.0, _SIGMA)
        self._distance = _within(moved, _MAX_FAIR)
        return self._distance


class OffsetPath:
    """The relative distance of one venue's price from the fair value; it begins at none."""

    def __init__(self, seed: int, symbol: str, venue: str) -> None:
        self._random = _random(f"{seed}:{symbol}:{venue}:offset")
        self._target = self._offset = 0.0

    def step(self) -> float:
        """The offset after one more step."""
        self._target = self._target * (1 - _TARGET_PULL) + self._random.gauss(0.0, _TARGET_SIGMA)
        moved = self._offset + (self._target - self._offset) * _FOLLOW
        self._offset = _within(moved, _MAX_OFFSET)
        return self._offset


def _random(name: str) -> random.Random:
    # Reproducible by design: this makes a market, not a secret.
    return random.Random(name)  # noqa: S311


def _within(distance: float, most: float) -> float:
    return max(-most, min(most, distance))
