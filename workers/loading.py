"""Loads the code of a process that lives long.

Rule: while modules are loaded nothing becomes garbage, and to look for it all the same is a quarter
of a start; what is loaded then stays, so that no later search goes through it again.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import what the process needs inside this."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
