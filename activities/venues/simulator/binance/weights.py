"""Request weight used in the running minute, as Binance reports it in each answer.

Rule: counts, never refuses.
"""

_MINUTE_MS = 60_000


class WeightCounter:
    """The weight of all requests since the minute began."""

    def __init__(self) -> None:
        self._minute, self._used = 0, 0

    def use(self, weight: int, now_ms: int) -> int:
        """Add `weight` and return the minute's total."""
        minute = now_ms // _MINUTE_MS
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += weight
        return self._used
