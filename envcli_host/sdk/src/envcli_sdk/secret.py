"""Secrets that do not show themselves."""

from __future__ import annotations

MASK = "••••••"


class Secret:
    """A value that is masked wherever it is printed, formatted, compared in a message or logged.

    Args:
        value: the secret text; read it back through `value`.
        version: the provider's version of it, where there is one.
    """

    __slots__ = ("_value", "version")

    def __init__(self, value: str, version: str | None = None) -> None:
        self._value = value
        self.version = version

    @property
    def value(self) -> str:
        """The secret itself. Hand it on; never print it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # loads OpenSSL, and few plugins compare

        return hmac.compare_digest(self.value.encode(), other.value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.value))

    def __bool__(self) -> bool:
        return bool(self.value)

    def __reduce__(self) -> str:
        raise TypeError("secrets are not pickled")
