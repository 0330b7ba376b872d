"""Start a plugin project from the template that travels inside this distribution."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from envcli_host.failures import explain
from envcli_host.workshop.errors import WorkshopError

PLUGIN_TYPES = ("command", "validation-rule", "integration", "workflow", "analytics", "theme")
TEMPLATE = "cookiecutter-envcli-plugin"
PREFIX = "envcli-plugin-"
LONGEST_NAME = 50
LONGEST_LINE = 90


@dataclass(frozen=True)
class PluginAnswers:
    """What the template asks.

    Attributes:
        name: with or without the prefix ``envcli-plugin-``.
        plugin_type: one of ``PLUGIN_TYPES``.
        summary: one line that says what the plugin does.
        author: who publishes it.
    """

    name: str
    plugin_type: str
    summary: str
    author: str

    def context(self) -> dict[str, str]:
        """The template's variables."""
        return {
            "plugin_name": self.name.removeprefix(PREFIX),
            "plugin_type": self.plugin_type,
            "summary": self.summary,
            "author": self.author,
        }


def template_directory() -> Path:
    """Return the template: inside the installed distribution, or at the root of this source tree.

    Raises:
        WorkshopError: it is in neither place.
    """
    here = Path(__file__).resolve().parent
    inside = here / "template"
    candidates = [inside, *(parent / TEMPLATE for parent in here.parents)]
    for candidate in candidates:
        if (candidate / "cookiecutter.json").is_file():
            return candidate
    raise WorkshopError(
        "the plugin template is missing from this installation", remedy="Reinstall envcli-host"
    )


def create_project(answers: PluginAnswers, parent: Path) -> Path:
    """Write a new project below ``parent`` and return its folder.

    Raises:
        WorkshopError: cookiecutter is not installed, a name is not allowed, or the folder exists.
    """
    try:
        from cookiecutter.exceptions import CookiecutterException
        from cookiecutter.main import cookiecutter
    except ImportError as error:
        raise WorkshopError(
            "cookiecutter is not installed", remedy="Run: pip install 'envcli-host[workshop]'"
        ) from error
    target = parent / f"{PREFIX}{answers.name.removeprefix(PREFIX)}"
    if target.exists():
        raise WorkshopError(f"{target} exists already", remedy="Choose another name or folder")
    verify_answers(answers)
    try:
        created = cookiecutter(
            str(template_directory()),
            no_input=True,
            extra_context=answers.context(),
            output_dir=str(parent),
            default_config=True,
        )
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        cause, remedy = explain(error, parent)
        raise WorkshopError(f"the project was not written: {cause}", remedy=remedy) from error
    except CookiecutterException as error:
        shutil.rmtree(target, ignore_errors=True)
        raise WorkshopError(
            f"the project was not written: {error}", remedy="See the message above"
        ) from error
    return Path(created)


def verify_answers(answers: PluginAnswers) -> None:
    """Check what the template's own hook checks as well, so that the message is ours.

    Raises:
        WorkshopError: a name, type or line that the index would refuse.
    """
    name = answers.name.removeprefix(PREFIX)
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > LONGEST_NAME:
        raise WorkshopError(
            f"{name!r} is no plugin name",
            remedy=f"Use lower-case words of letters and digits joined by hyphens, at most {LONGEST_NAME} long",
        )
    if answers.plugin_type not in PLUGIN_TYPES:
        raise WorkshopError(
            f"{answers.plugin_type!r} is no plugin type", remedy=f"Use one of {', '.join(PLUGIN_TYPES)}"
        )
    for label, line in (("summary", answers.summary), ("author", answers.author)):
        if not line.strip() or len(line) > LONGEST_LINE or not line.isprintable() or set(line) & set('"\\{}'):
            raise WorkshopError(
                f"the {label} cannot be used",
                remedy=f"Use one line of at most {LONGEST_LINE} characters without quotes, braces, backslashes",
            )


def git_author() -> str:
    """Return the name that Git is configured with, or a placeholder to replace."""
    command = ["git", "config", "user.name"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return "Your Name"
    return done.stdout.strip() or "Your Name"
