"""The table of ``data/capabilities.toml`` in a form that answers quickly."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

DYNAMIC = "dynamic-code"


@dataclass(frozen=True, slots=True)
class CapabilityTable:
    """Names and what they use; every mapping goes from a dotted name to permissions."""

    imported: Mapping[str, tuple[str, ...]]
    used: Mapping[str, tuple[str, ...]]
    opens: Mapping[str, int]
    returns: Mapping[str, str]
    methods: Mapping[str, tuple[str, ...]]
    api: Mapping[str, tuple[str, ...]]
    implied: Mapping[str, tuple[str, ...]]
    dynamic_attributes: frozenset[str]
    guarded_modules: frozenset[str]

    def of_import(self, module: str) -> tuple[str, ...]:
        """What importing `module` alone uses."""
        return _longest(self.imported, module)

    def of_use(self, name: str) -> tuple[str, ...]:
        """What a reference to the dotted `name` uses."""
        return _longest(self.used, name)

    def of_api(self, name: str) -> tuple[str, ...]:
        """What ``ctx.api.<name>`` uses, name being an area or one of its methods."""
        return _longest(self.api, name)


def _longest(table: Mapping[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    while name:
        if name in table:
            return table[name]
        name = name.rpartition(".")[0]
    return ()


@functools.cache
def load_table() -> CapabilityTable:
    """The table that ships with the package."""
    text = files("envcli_vetting").joinpath("data/capabilities.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    used: dict[str, tuple[str, ...]] = _inverted(document["used"])
    used |= dict.fromkeys(document["both"]["names"], ("file:read", "file:write"))
    used |= dict.fromkeys(document["opens"], ("file:read", "file:write"))
    used |= dict.fromkeys(document["dynamic"]["names"], (DYNAMIC,))
    used |= dict.fromkeys(document["safe"]["names"], ())
    return CapabilityTable(
        imported=_inverted(document["imported"]),
        used=used,
        opens=document["opens"],
        returns=document["returns"],
        methods=_inverted(document["methods"]),
        api={area: tuple(permissions) for area, permissions in document["api"].items()},
        implied={kind: tuple(permissions) for kind, permissions in document["implied"].items()},
        dynamic_attributes=frozenset(document["dynamic"]["attributes"]),
        guarded_modules=frozenset(document["dynamic"]["modules"]),
    )


def _inverted(section: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for permission, listed in section.items():
        for name in listed:
            names[name] = (*names.get(name, ()), permission)
    return names
