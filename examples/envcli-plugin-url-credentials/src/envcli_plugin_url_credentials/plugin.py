"""Contributes the rules `url-credentials`, which repairs what it finds, and `url-localhost`."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit, urlunsplit

from envcli_sdk import Finding, Fix, Plugin, Secret, Severity, Var, rule

ADDRESSES = r"_(URL|URI|DSN)$"
AT_HOME = frozenset({"dev", "development", "local", "test", "testing"})


class UrlCredentials(Plugin):
    """A password inside a URL ends up in logs, and cannot be rotated on its own."""

    @rule("url-credentials", match=ADDRESSES)
    def password_inside(self, var: Var) -> Iterator[Finding]:
        """Report an embedded password; the repair moves it to a variable that the URL refers to."""
        url = parse(var.value)
        if url is None or not url.password or url.password.startswith("${"):
            return
        name = f"{var.name}_PASSWORD"
        yield Finding(
            f"{name} is missing: {var.name} holds the password itself",
            variable=name,
            severity=Severity.warning,
            fix=Fix(Secret(url.password), f"keep the password in {name}"),
        )
        yield Finding(
            f"{var.name} embeds a password",
            variable=var.name,
            severity=Severity.error,
            fix=Fix(Secret(with_reference(url, name)), f"refer to {name}"),
        )

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
