"""Errors of the policy library: one base, one class per reason a caller may want to tell apart."""

from __future__ import annotations

from typing import ClassVar


class PolicyError(Exception):
    """Something did not hold.

    Args:
        message: The thing and the cause, without a trailing full stop.
        remedy: What the reader can do about it; may be empty when nothing can be done.

    ``rule`` is a stable identifier that documentation and tests refer to.
    """

    rule: ClassVar[str] = "policy"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{message}. {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class MalformedError(PolicyError):
    """Bytes are not what the format allows: not JSON, too large, a missing or surplus field, a wrong type."""

    rule = "malformed"
