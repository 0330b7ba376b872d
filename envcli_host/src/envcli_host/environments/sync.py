"""What a synchronisation would change, before anything changes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from envcli_host.environments.grammar import NAME
from envcli_host.errors import EnvironmentStoreError, UsageError

_REMOTE = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)(?:@(?P<instance>[A-Za-z0-9_-]+))?:(?P<name>.+)")


@dataclass(frozen=True)
class Endpoint:
    """One end of a synchronisation: a local environment, or one in a store that a plugin reaches.

    Attributes:
        name: of the environment.
        scheme: contributed by a plugin, or "" for a local environment.
        instance: which configured instance of the plugin.
    """

    name: str
    scheme: str = ""
    instance: str = "default"

    def __str__(self) -> str:
        if not self.scheme:
            return self.name
        instance = "" if self.instance == "default" else f"@{self.instance}"
        return f"{self.scheme}{instance}:{self.name}"


@dataclass(frozen=True)
class Difference:
    """What the destination lacks, has otherwise, or has in excess."""

    added: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]
    surplus: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.surplus)

    def changes(self, *, delete: bool) -> dict[str, str | None]:
        """Return variable → new value, or None where a surplus one is to be deleted."""
        new = {name: after for name, (_, after) in self.changed.items()}
        gone: dict[str, str | None] = dict.fromkeys(self.surplus) if delete else {}
        return {**self.added, **new, **gone}


def parse_endpoint(text: str) -> Endpoint:
    """Read ``NAME`` or ``SCHEME[@INSTANCE]:NAME``.

    Raises:
        UsageError: it is neither.
    """
    found = _REMOTE.fullmatch(text)
    if found:
        return Endpoint(found["name"], found["scheme"], found["instance"] or "default")
    if ":" in text or not text:
        raise UsageError(
            f"{text!r} names no environment", remedy="Write NAME or SCHEME:NAME, for example aws-sm:prod"
        )
    return Endpoint(text)


def compare(source: Mapping[str, str], destination: Mapping[str, str]) -> Difference:
    """Compare two environments by value."""
    return Difference(
        added={name: source[name] for name in sorted(source.keys() - destination.keys())},
        changed={
            name: (destination[name], source[name])
            for name in sorted(source.keys() & destination.keys())
            if source[name] != destination[name]
        },
        surplus={name: destination[name] for name in sorted(destination.keys() - source.keys())},
    )


def verify_names(values: Mapping[str, str], origin: str) -> None:
    """Check names and values that came from outside before they are written to a file.

    Raises:
        EnvironmentStoreError: a name is no variable name, or a value holds a NUL byte.
    """
    for name, value in values.items():
        if not NAME.fullmatch(name):
            raise EnvironmentStoreError(
                f"{origin} holds {name!r}, which is no variable name",
                remedy="Rename it there, or narrow the prefix",
            )
        if "\0" in value:
            raise EnvironmentStoreError(f"the value of {name} from {origin} holds a NUL byte")
