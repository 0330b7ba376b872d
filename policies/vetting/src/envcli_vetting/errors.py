"""Errors of vetting: one base, and the two ways in which a check can fail to speak."""

from __future__ import annotations


class VettingError(Exception):
    """Vetting could not do its work.

    Args:
        message: The thing and the cause, without a trailing full stop.
        remedy: What the reader can do about it.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{message}. {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class ArchiveError(VettingError):
    """An archive cannot be read in exactly one way, or holds what a plugin must not hold.

    Args:
        rule: Stable id of the rule that was broken.
        message: The thing and the cause.
        path: The member concerned, empty for the archive as a whole.
    """

    def __init__(self, rule: str, message: str, *, path: str = "") -> None:
        super().__init__(message, remedy="Rebuild the archive with an ordinary build tool")
        self.rule = rule
        self.path = path


class CheckError(VettingError):
    """A check broke down; its outcome is *error*, which never approves."""


class CheckSkippedError(VettingError):
    """A check cannot run here, for want of something; its outcome is *skipped*, which never approves."""
