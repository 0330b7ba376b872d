"""Contributes the rules `url-credentials`, which repairs what it finds, and `url-localhost`."""

import ipaddress
from collections.abc import Awaitable, Iterator
from urllib.parse import SplitResult, urlsplit, urlunsplit

from envcli_sdk import (
    Command,
    EnvironmentValidation,
    Finding,
    Fix,
    Plugin,
    Result,
    Secret,
    Severity,
    Var,
    rule,
)

ADDRESSES = r"_(URL|URI|DSN)$"
AT_HOME = frozenset({"dev", "development", "local", "test", "testing"})


class UrlCredentials(Plugin):
    """A password inside a URL ends up in logs, and cannot be rotated on its own."""

    def execute(self, command: Command) -> Awaitable[Result] | Result:
        """Keep the values at hand: a repair must not lose the only copy of a password."""
        if isinstance(command, EnvironmentValidation):
            self.values = {var.name: var.value for var in command.variables}
        return super().execute(command)

    @rule("url-credentials", match=ADDRESSES)
    def password_inside(self, var: Var) -> Iterator[Finding]:
        """Report an embedded password; once it has a variable of its own, the URL can refer to that."""
        url = parse(var.value)
        if url is None or not url.password or url.password.startswith("${"):
            return
        name = f"{var.name}_PASSWORD"
        if self.values.get(name) == url.password:
            message = f"{var.name} embeds the password that {name} holds"
            fix = Fix(Secret(with_reference(url, name)), f"refer to {name}")
        else:
            message = f"{var.name} embeds a password; keep it in {name}, then the URL can refer to it"
            fix = None
        yield Finding(message, variable=var.name, severity=Severity.error, fix=fix)

    @rule("url-localhost", match=ADDRESSES)
    def this_machine(self, var: Var) -> Iterator[Finding]:
        """Report addresses of this machine in environments that run elsewhere."""
        url = parse(var.value)
        if url is not None and var.environment not in AT_HOME and is_this_machine(url.hostname or ""):
            yield Finding(f"{var.name} points at {url.hostname}", variable=var.name)


def parse(text: str) -> SplitResult | None:
    """Return the parts of a URL, or None for anything else."""
    try:
        url = urlsplit(text)
        return url if url.scheme and url.hostname else None
    except ValueError:
        return None


def with_reference(url: SplitResult, name: str) -> str:
    """Return the URL with its password replaced by a reference to the variable `name`."""
    before, _, host = url.netloc.rpartition("@")
    user = before.partition(":")[0]
    return urlunsplit(url._replace(netloc=f"{user}:${{{name}}}@{host}"))


def is_this_machine(host: str) -> bool:
    """Tell whether a host name or address means the machine that the program runs on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
