"""What the command line says of an error: one line, and an exit code; never a trace."""

import asyncio

from starters.cli_console import complain

FAILED, BAD_USAGE = 1, 2
_COMMANDS = {"order": "orders", "arbitrage": "arbitrage", "rebalancing": "rebalance"}


def explain(error: Exception) -> int:
    """Say what is wrong in one line; returns the exit code."""
    from starters.cli_decisions import DecisionDenied, exit_code_of
    from starters.cli_input import InvalidInputError
    from starters.errors import (
        DeltaError,
        Ended,
        NotFound,
        OutcomeUnknown,
        PartOfExecution,
        Unavailable,
    )
    from workers.settings import SettingsError

    text = " ".join(str(error).split())
    if isinstance(error, InvalidInputError | SettingsError):
        return say(text, BAD_USAGE)
    if isinstance(error, Unavailable):
        return say(f"UNAVAILABLE: {text} (is the stack up? make up)", FAILED)
    if isinstance(error, NotFound):
        return say(f"NOT_FOUND: {text}", FAILED)
    if isinstance(error, DecisionDenied):
        return exit_code_of(error)
    if isinstance(error, PartOfExecution):
        return say(f"PART_OF_EXECUTION: {text}", FAILED)
    if isinstance(error, OutcomeUnknown):
        command = f"python -m starters {_COMMANDS[error.noun]} show {error.id}"
        return say(f"OUTCOME_UNKNOWN: {text}: {command}", FAILED)
    if isinstance(error, Ended):
        return say(f"ALREADY_TERMINAL: {text}", FAILED)
    if isinstance(error, DeltaError):
        return say(f"FAILED: {text}", FAILED)
    if isinstance(error, asyncio.CancelledError | OSError):
        return say(f"{type(error).__name__}: {text}", FAILED)
    return say(f"INTERNAL: {type(error).__name__}: {text}", FAILED)


def say(text: str, code: int) -> int:
    """One line on stderr; returns the code."""
    complain(text)
    return code
