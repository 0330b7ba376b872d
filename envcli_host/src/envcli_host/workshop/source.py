"""Where a build's source came from: the Git revision, told without anything secret."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

GIT_SECONDS = 20


@dataclass(frozen=True)
class SourceRevision:
    """A commit and the address it can be fetched from.

    Attributes:
        address: remote URL without user information, query or fragment; "" when the repository has no remote.
        commit: hexadecimal object name.
        committed: commit time in seconds since 1970-01-01 UTC.
        clean: whether the project's files are those of the commit.
    """

    address: str
    commit: str
    committed: int
    clean: bool


def find_revision(directory: Path) -> SourceRevision | None:
    """Return the Git revision of ``directory``, or None outside of a repository (or without Git)."""
    head = _git(directory, "log", "-1", "--format=%H %ct", "--", ".")
    if not head:
        return None
    commit, _, committed = head.partition(" ")
    status = _git(directory, "status", "--porcelain", "--", ".")
    remote = _git(directory, "remote", "get-url", "origin") or ""
    return SourceRevision(public_address(remote), commit, int(committed), clean=status == "")


def public_address(remote: str) -> str:
    """Return ``remote`` without whatever could be a credential; "" unless it is an http(s) or ssh URL.

    Remotes such as ``https://user:token@host/path`` are common, and provenance is public.
    """
    parts = urlsplit(remote)
    if parts.scheme not in {"http", "https", "ssh", "git"} or not parts.hostname:
        return ""
    host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=GIT_SECONDS)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
