"""Entry point of `python -m starters`; the commands stand in `starters.cli`."""

import os
import sys

from starters.cli import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # A Temporal client can crash at the interpreter's exit; nothing is left to do by now.
    os._exit(code)
