"""Password hashing: argon2id with the OWASP parameters (19 MiB, 2 passes, 1 lane), a few at a time.

Hashing is meant to be slow; without a bound, a burst of sign-ins would take all memory and processors.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from envcli_web.accounts.errors import WeakPasswordError
from envcli_web.errors import BusyError

MINIMUM_LENGTH = 12
MAXIMUM_LENGTH = 256
COMMON_PASSWORDS = "common_passwords.txt"
CONCURRENT = 4
WAIT_SECONDS = 5.0

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_slots = threading.BoundedSemaphore(CONCURRENT)


@contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(timeout=WAIT_SECONDS):
        raise BusyError("Too many people are signing in at this moment", remedy="Try again in a few seconds")
    try:
        yield
    finally:
        _slots.release()


@cache
def _common_passwords() -> frozenset[str]:
    return frozenset((files(__package__) / COMMON_PASSWORDS).read_text(encoding="utf-8").split())


def check_password_strength(password: str, username: str) -> None:
    """Refuse a password that is too short, too long, too uniform, common or made of the user's name.

    Source: NIST SP 800-63B, section 5.1.1.2: length and a list of common passwords, no rules about kinds of
    characters. Letter case and blanks make a common password no better.

    Raises:
        WeakPasswordError: with the rule that was broken.
    """
    if len(password) < MINIMUM_LENGTH:
        raise WeakPasswordError(f"The password needs at least {MINIMUM_LENGTH} characters")
    if len(password) > MAXIMUM_LENGTH:
        raise WeakPasswordError(f"The password may have at most {MAXIMUM_LENGTH} characters")
    if len(set(password)) < 5:
        raise WeakPasswordError("The password repeats the same few characters")
    folded = password.casefold()
    if username.casefold() in folded:
        raise WeakPasswordError("The password contains the user name")
    if {folded, "".join(folded.split())} & _common_passwords():
        raise WeakPasswordError(
            "The password is one of the most common ones, which are tried first",
            remedy="Take a few unrelated words",
        )


def hash_password(password: str) -> str:
    """Return the argon2id hash of ``password`` in PHC string format."""
    with _slot():
        return _hasher.hash(password)


def is_password(password_hash: str, password: str) -> bool:
    """Return whether ``password`` is the one that ``password_hash`` was made from."""
    with _slot():
        try:
            return _hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


_decoy = threading.local()


def spend_hashing_time(password: str) -> None:
    """Take as long as checking a real password, for names that do not exist."""
    if not hasattr(_decoy, "hash"):
        _decoy.hash = hash_password("no account has this password")
    is_password(_decoy.hash, password)
