"""Run one paper exchange as a process: its configuration as JSON on standard input.

Rule: secrets come in on standard input, never as arguments. Prints one JSON line with the port when
it serves. Ends with 2 and one line if it cannot start.
"""

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from activities.venues.simulator.server import (
    JournalError,
    PaperAccount,
    PaperExchangeConfig,
    RunningExchange,
    serve,
)


def _config(given: dict[str, Any]) -> PaperExchangeConfig:
    accounts = {}
    for name, account in given.pop("accounts").items():
        balances = account.get("balances")
        keys = {name: account[name] for name in ("api_key", "secret")}
        keys["passphrase"] = account.get("passphrase", "")
        if balances is not None:
            keys["balances"] = {asset: Decimal(amount) for asset, amount in balances.items()}
        accounts[name] = PaperAccount(**keys)
    for name in ("data_dir", "replay"):
        if given.get(name) is not None:
            given[name] = Path(given[name])
    return PaperExchangeConfig(accounts=accounts, **given)


def _announce(served: RunningExchange) -> None:
    sys.stdout.write(json.dumps({"port": served.port}) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve until told to stop."""
    try:
        asyncio.run(serve(_config(json.load(sys.stdin)), _announce))
    except (KeyError, TypeError, ValueError, ArithmeticError, OSError, JournalError) as error:
        sys.stderr.write(f"paper exchange: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
