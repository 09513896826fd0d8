"""Which times an order may name: from the year 2000 to one year ahead, a start hardly in the past.

Pure: the clock is the caller's. What only looks at the times themselves is asked at every door;
what looks at the clock is asked where an order begins, or a late retry of it would be refused.
"""

from datetime import UTC, datetime, timedelta

from workflows.domain.denials import DenialCode, Denied

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
FARTHEST = timedelta(days=366)
"""How far ahead a time may lie: a year, leap years too."""
START_GRACE = timedelta(seconds=5)
"""How late an order may come for its own start."""


def too_early(**times: datetime | None) -> Denied | None:
    """The first of the named times that lies before the year 2000, or None."""
    for name, moment in times.items():
        if moment is not None and moment < EARLIEST:
            return _refused(name, f"must not be before the year {EARLIEST.year}")
    return None


def too_far(now: datetime, **times: datetime | None) -> Denied | None:
    """The first of the named times that lies more than a year ahead of `now`, or None."""
    for name, moment in times.items():
        if moment is not None and moment - now > FARTHEST:
            return _refused(name, "must not be more than a year ahead")
    return None


def missed_start(now: datetime, start_at: datetime | None) -> Denied | None:
    """Why an order that comes `now` cannot begin at `start_at`, or None."""
    if start_at is None or now - start_at <= START_GRACE:
        return None
    return _refused("start_at", f"must not be more than {START_GRACE.seconds} s in the past")


def _refused(name: str, why: str) -> Denied:
    return Denied(code=DenialCode.INVALID_TIME, field=name, detail=f"{name} {why}")
