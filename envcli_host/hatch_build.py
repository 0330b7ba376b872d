"""Puts the plugin template, which lives beside this distribution in the repository, inside wheel and sdist."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INSIDE_WHEEL = "envcli_host/workshop/template"
INSIDE_SDIST = "template"


class TemplateHook(BuildHookInterface[Any]):
    """Finds the template in the repository, or in the sdist that a wheel is built from."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Include it; an editable install reads it from the repository instead."""
        if version == "editable":
            return
        root = Path(self.root)
        candidates = (root / INSIDE_SDIST, root.parent / "cookiecutter-envcli-plugin")
        found = next((path for path in candidates if (path / "cookiecutter.json").is_file()), None)
        if found is None:
            raise FileNotFoundError(f"the plugin template is in none of {', '.join(map(str, candidates))}")
        build_data["force_include"][str(found)] = (
            INSIDE_WHEEL if self.target_name == "wheel" else INSIDE_SDIST
        )
