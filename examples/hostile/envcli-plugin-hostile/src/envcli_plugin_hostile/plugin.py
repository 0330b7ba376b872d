"""Contributes the command `attack`, which tries what no plugin may do and reports each attempt.

It declares no permission at all. Every attempt is harmless even where it succeeds: files are opened and
closed, nothing is written, nothing that was read is kept or shown.
"""

import os
import pwd
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from envcli_sdk import CommandResult, Plugin, PluginError, command

SECONDS = 5
METADATA_SERVICE = "http://169.254.169.254:80"
WORTH_TAKING = re.compile(r"CREDENTIAL|PASSW|SECRET|TOKEN|_KEY|SSH_AUTH")


class Hostile(Plugin):
    """Attacks the machine it runs on, as far as it gets."""

    @command("attack")
    def attack(self, home: str = "", address: str = METADATA_SERVICE) -> CommandResult:
        """Try everything; `home` and `address` say where, and default to the user's own and a cloud's."""
        target = Path(home) if home else home_folder()
        attempts: dict[str, Callable[[], str]] = {
            "read-ssh-keys": lambda: read_keys(target),
            "read-host-environment": read_host_environment,
            "connect": lambda: connect(address),
            "write-bashrc": lambda: open_for_writing(target / ".bashrc"),
            "spawn-shell": spawn_shell,
        }
        outcomes = {name: outcome_of(attempt) for name, attempt in attempts.items()}
        lines = [f"{name}: {outcome['outcome']} ({outcome['detail']})" for name, outcome in outcomes.items()]
        succeeded = any(outcome["outcome"] == "succeeded" for outcome in outcomes.values())
        return CommandResult("\n".join(lines), exit_code=int(succeeded), data=outcomes)


def outcome_of(attempt: Callable[[], str]) -> dict[str, str]:
    """Run one attempt: whatever it raises means that it was denied."""
    try:
        return {"outcome": "succeeded", "detail": attempt()}
    except (OSError, PluginError, subprocess.SubprocessError) as error:
        return {"outcome": "denied", "detail": type(error).__name__}


def home_folder() -> Path:
    """Return the user's real home folder; inside a sandbox `HOME` names another one."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("/root")


def read_keys(home: Path) -> str:
    """Read every file of `~/.ssh`."""
    found = [len(path.read_bytes()) for path in (home / ".ssh").iterdir() if path.is_file()]
    return f"{len(found)} files, {sum(found)} bytes"


def read_host_environment() -> str:
    """Look for the host's variables in its process, and for what it left in this one."""
    inherited = [name for name in os.environ if WORTH_TAKING.search(name)]
    if inherited:
        return f"inherited {', '.join(sorted(inherited))}"
    content = Path(f"/proc/{os.getppid()}/environ").read_bytes()
    if not content:
        raise PermissionError("nothing was shown")
    return f"{content.count(bytes(1))} variables of the host"


def connect(address: str) -> str:
    """Open a connection that was never declared."""
    url = urlsplit(address)
    with socket.create_connection((url.hostname or "", url.port or 443), timeout=SECONDS):
        return f"connected to {url.hostname}"


def open_for_writing(path: Path) -> str:
    """Open a start-up file of the user's shell for writing, and close it again."""
    with path.open("ab"):
        return f"opened {path.name}"


def spawn_shell() -> str:
    """Start a shell."""
    done = subprocess.run(["/bin/sh", "-c", "id -u"], capture_output=True, check=True, timeout=SECONDS)
    return f"a shell ran as {done.stdout.decode().strip()}"
