"""Which values are secret, and how a secret is shown."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

MASK = "********"

_WORDS = re.compile(
    r"(?:^|[_.-])(?:KEY|APIKEY|TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|CREDENTIALS?|PRIVATE|SALT|DSN|AUTH|"
    r"SIGNATURE|COOKIE|CERT|PEM)(?:$|[_.-])",
    re.IGNORECASE,
)
# A value may be long and written to take time: no pattern can begin inside of what it repeats.
_USERINFO = re.compile(r"[a-z0-9+.-]://[^/@\s:]*:[^/@\s]+@", re.IGNORECASE)
_KNOWN = re.compile(
    r"-----BEGIN [A-Z ]+-----|(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_\w{20,}|sk_live_|xox[abprs]-|(?<![\w-])eyJ[\w-]+\.eyJ"
)
_RANDOM = re.compile(r"(?=[^\s]*[0-9])(?=[^\s]*[A-Za-z])[A-Za-z0-9+=_-]{32,}")


def is_secret(name: str, value: str, patterns: Iterable[str] = ()) -> bool:
    """Tell whether a variable should be masked, by its name, its value or the project's own patterns.

    Args:
        name: the variable's name.
        value: its value; recognised are credentials in URLs, PEM blocks, well-known token prefixes and long
            random-looking strings.
        patterns: fnmatch patterns of names, case-sensitive.
    """
    if _WORDS.search(name) or any(fnmatchcase(name, pattern) for pattern in patterns):
        return True
    return bool(_USERINFO.search(value) or _KNOWN.search(value) or _RANDOM.fullmatch(value))


def shown(name: str, value: str, patterns: Iterable[str] = ()) -> str:
    """Return ``value``, or a mask of fixed length where it is secret (an empty value hides nothing)."""
    return MASK if value and is_secret(name, value, patterns) else value
