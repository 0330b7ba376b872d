"""Runs the commands of the demo, prints each claim with the command behind it, and keeps count."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

WIDTH = 200


class DemoError(Exception):
    """A claim of the demo did not hold, or a part of it could not be started."""


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended."""

    command: str
    status: int
    output: str

    def shows(self, *patterns: str) -> bool:
        """Return whether every regular expression is found in the output."""
        return all(re.search(pattern, self.output, re.IGNORECASE | re.DOTALL) for pattern in patterns)


@dataclass
class Shell:
    """A place to run commands in, with its own variables.

    Attributes:
        folder: working folder of the commands.
        variables: added to a small clean environment.
        programs: folders that come first on the search path.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    programs: tuple[Path, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return the variables of a command: a clean set, ours on top."""
        kept = (
            "HOME",
            "LANG",
            "TERM",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
        )
        passed = {
            name: value for name, value in os.environ.items() if name in kept or name[:4] in ("PIP_", "UV_")
        }
        path = os.pathsep.join([*map(str, self.programs), os.environ.get("PATH", os.defpath)])
        return passed | {"PATH": path, "PYTHONUTF8": "1"} | self.variables

    def run(
        self,
        *command: str | Path,
        extra: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: int = 300,
    ) -> Ran:
        """Run a command to its end and return what it printed, standard output and error together."""
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment() | dict(extra or {}),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ran(shlex.join([Path(words[0]).name, *words[1:]]), done.returncode, done.stdout)

    def must(self, *command: str | Path, extra: Mapping[str, str] | None = None, stdin: str = "") -> Ran:
        """Run a command that has to succeed.

        Raises:
            DemoError: it did not; the message holds its output.
        """
        ran = self.run(*command, extra=extra, stdin=stdin)
        if ran.status != 0:
            raise DemoError(f"{ran.command} ended with {ran.status}:\n{ran.output}")
        return ran

    def fetch(self, url: str, file: Path | None = None) -> Ran:
        """Fetch a page as anybody may; its text, or a file with it, is the result."""
        return self.run(sys.executable, Path(__file__).with_name("fetch.py"), url, *([file] if file else []))


@dataclass
class Report:
    """The claims of the demo and whether they held."""

    held: int = 0
    failed: list[str] = field(default_factory=list)

    def claim(self, text: str, ran: Ran, holds: bool, show: Sequence[str] = ()) -> None:
        """Print one claim with its command and some of its output; remember whether it held."""
        print(f"\n{'PASS' if holds else 'FAIL'}  {text}\n      $ {ran.command}", flush=True)
        for line in self._lines(ran, show, holds):
            print(f"      | {line[:WIDTH]}", flush=True)
        if holds:
            self.held += 1
        else:
            self.failed.append(text)

    @staticmethod
    def _lines(ran: Ran, show: Sequence[str], holds: bool) -> list[str]:
        lines = [line.rstrip() for line in ran.output.splitlines() if line.strip()]
        if not holds:
            return lines[-60:]
        if not show:
            return lines[-3:]
        return [line for line in lines if any(re.search(part, line, re.IGNORECASE) for part in show)][:40]

    def finish(self) -> int:
        """Print the count and return the exit status: 0 only if every claim held."""
        print(f"\n{self.held} claims hold, {len(self.failed)} do not.")
        for text in self.failed:
            print(f"  does not hold: {text}", file=sys.stderr)
        return 1 if self.failed or not self.held else 0
