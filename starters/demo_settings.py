"""What the demo runs with: a stack of its own, in a folder of its own, on ports that are free.

Rule: an allow-list. Credentials, a database or a Temporal server that the settings name are never
taken over, so the demo can neither trade live nor touch another engine's data.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from workers.local_stack import LOCK, StackRunningError, delete_data
from workers.pidfile import stop_leftovers, take_lock
from workers.ports import PortTakenError, WantedPort, check_ports
from workers.settings import Settings
from workers.stack_parts import StackParts

WORKERS = 2
"""One to be killed, one to go on."""
SEED = 3
"""A market in which the exchanges' prices are apart when the demo comes to its arbitrages, as they
are every few minutes in any other. PAPER_SEED gives another one."""
REPLAY_SPEED = Decimal(10)
"""Ten minutes of recorded trades in the minute that the demo takes."""
CONTROL_PORT = 9_101
"""Where the demo tells an exchange to refuse an order, unless PAPER_CONTROL_PORT names another."""
FOLDER = "demo"
_TAKEN_OVER = (
    "postgres_port",
    "temporal_port",
    "temporal_ui_port",
    "api_port",
    "metrics_port",
    "paper_port",
    "paper_control_port",
    "validity_window_s",
    "skew_allowance_s",
    "http_deadline_s",
    "submit_timeout_s",
    "read_lag_s",
    "log_format",
    "log_level",
    "paper_seed",
    "replay_trades",
    "replay_speed",
)
# Below the ports that the system gives to outgoing connections.
_FREE_FROM, _FREE_TO = 20_000, 32_000
_MOST_TRIES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What can be asked of the demo. `interval_s` is the time between two slices."""

    slices: int = 12
    interval_s: Decimal = Decimal(5)
    keep: bool = False
    """Leave the stack running at the end, until Ctrl-C."""
    as_json: bool = False


def demo_settings(settings: Settings) -> Settings:
    """The demo's settings: those of `settings` that are harmless, in a folder below DELTA_HOME."""
    values = {
        name: getattr(settings, name) for name in _TAKEN_OVER if name in settings.model_fields_set
    }
    values.setdefault("paper_control_port", CONTROL_PORT)
    values.setdefault("paper_seed", SEED)
    if settings.replay_trades is not None:
        values.setdefault("replay_speed", REPLAY_SPEED)
    home = settings.home.root / FOLDER
    return Settings.model_validate({**values, "delta_home": home, "worker_count": WORKERS})


def on_free_ports(settings: Settings) -> tuple[Settings, tuple[WantedPort, ...]]:
    """The settings with free ports in place of those that are in use; and these, for people.

    Neighbouring ports of one setting move together. Raises PortTakenError when none is free.
    """
    wanted = StackParts(settings).ports()
    taken = tuple(each for each in wanted if not _is_free([each]))
    changes: dict[str, int] = {}
    avoid = {each.port for each in wanted}
    for setting in dict.fromkeys(each.setting for each in taken):
        count = sum(each.setting == setting for each in wanted)
        first = _free_row(setting, count, avoid)
        avoid.update(range(first, first + count))
        changes[setting.lower()] = first
    return settings.model_copy(update=changes), taken


def _free_row(setting: str, count: int, avoid: Iterable[int]) -> int:
    """The first of `count` neighbouring free ports."""
    for _ in range(_MOST_TRIES):
        # Chance keeps two demos that start at once apart; it protects nothing.
        first = random.randrange(_FREE_FROM, _FREE_TO)  # noqa: S311
        row = [
            WantedPort(port=port, setting=setting, part="demo")
            for port in range(first, first + count)
        ]
        if not {each.port for each in row} & set(avoid) and _is_free(row):
            return first
    raise PortTakenError(f"no free port between {_FREE_FROM} and {_FREE_TO} for {setting}")


def _is_free(row: list[WantedPort]) -> bool:
    try:
        check_ports(row)
    except PortTakenError:
        return False
    return True


async def empty_home(settings: Settings) -> None:
    """Stop what a killed demo left running, and delete its data; raises StackRunningError."""
    run = settings.home.run
    if not (run / LOCK).exists():
        return
    lock = take_lock(run / LOCK)
    if lock is None:
        raise StackRunningError(f"another demo is running in {settings.home.root}")
    with lock:
        await stop_leftovers(run)
    delete_data(settings)
