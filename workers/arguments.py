"""What no command line of ours takes: secrets. Every user of the machine sees arguments in `ps`.

Rule: they are refused before anything reads them, and never shown again.
"""

import re
from collections.abc import Iterable

REFUSAL = (
    "secrets are not taken as arguments, where other users see them: "
    "use a setting, or NAME_FILE to read it from a file"
)
_NAMES = r"(api[-_]?key|secret|pass(word|phrase)?|token|database[-_]?url)"
_SECRET = re.compile(
    rf"^--?([a-z0-9]+[-_])*{_NAMES}\b"
    rf"|^([a-z0-9]+_)*{_NAMES}="
    r"|://[^/\s]*:[^/\s]*@"
    r"|ek_[a-z0-9]{8}_[a-z0-9_-]{43}",
    re.IGNORECASE,
)
"""An option, a setting, an address with a password, one of our own keys."""


def hold_secret(arguments: Iterable[str]) -> bool:
    """Whether one of them is a secret, or the name of one with its value."""
    return any(_SECRET.search(argument) for argument in arguments)
