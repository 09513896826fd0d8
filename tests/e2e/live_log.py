"""The log of a running exchange, looked at again and again.

A test polls it twenty times a second, and it grows for as long as the engine runs: each look reads
only what is new. What an earlier look returned stays as it was.
"""

import copy
import json
from pathlib import Path

from activities.venues.simulator.judge import VenueLog, add_record
from activities.venues.simulator.records import Record

_COMMITTED = b'"commit":true}\n'


class LiveLog:
    """One journal, and how far it was read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = VenueLog()
        self._bytes = self._records = 0

    def now(self) -> VenueLog:
        """All that is committed by now; raises OSError if there is no journal yet."""
        with self._path.open("rb") as journal:
            journal.seek(self._bytes)
            new = journal.read()
        new = new[: new.rfind(_COMMITTED) + len(_COMMITTED)] if _COMMITTED in new else b""
        if new:
            self._log = _copy(self._log)
            for line in new.splitlines():
                self._add(json.loads(line))
            self._bytes += len(new)
        return self._log

    def _add(self, record: Record) -> None:
        """To the newest copy: an order or list that changes is one of its own."""
        log = self._log
        if (order := log.orders.get(record.get("order_id", 0))) is not None:
            log.orders[order.order_id] = copy.copy(order)
        if (pair := log.lists.get(record.get("list_id", 0))) is not None:
            log.lists[pair.list_id] = copy.copy(pair)
        add_record(log, self._records, record)
        self._records += 1


def _copy(log: VenueLog) -> VenueLog:
    fresh = VenueLog(
        start_balances=dict(log.start_balances),
        requests=list(log.requests),
        orders=dict(log.orders),
        lists=dict(log.lists),
        trades=list(log.trades),
    )
    for account, paid_in in log.deposits.items():
        fresh.deposits[account].update(paid_in)
    return fresh
