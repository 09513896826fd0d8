"""Entry point of `python -m starters`; the commands stand in `starters.cli`."""

import gc
import os
import sys

INTERRUPTED, READER_GONE = 130, 1

if __name__ == "__main__":
    # A command lives for a second, most of which is imports: looking for garbage after each few
    # hundred objects would take a sixth of it.
    gc.set_threshold(50_000)
    try:
        from starters.cli import main

        code = main(sys.argv[1:])
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = READER_GONE
    # A Temporal client can crash at the interpreter's exit; nothing is left to do by now.
    os._exit(code)
