"""A project: one ``.envcli/`` folder with its configuration and its named environments.

::

    .envcli/config.toml               what the project says about itself (committed)
    .envcli/environments/<name>.env   values, mode 0600 (ignored by git)
    .envcli/current                   name of the environment that commands use by default
    .envcli/snapshots/                copies taken before a synchronisation
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from envcli_host.environments.grammar import Document, GrammarError, decode, parse_document
from envcli_host.errors import ConfigError, EnvironmentStoreError
from envcli_host.files import locked, read_bounded, write_atomically

FOLDER = ".envcli"
DEFAULT_ENVIRONMENTS = ("local", "dev", "test", "prod")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MAX_FILE = 16 * 1024 * 1024
_MAX_INHERITANCE = 10
_CONFIG_MODE = 0o644
_IGNORED = "environments/\nsnapshots/\ncurrent\nlock\n"


@dataclass(frozen=True)
class ProjectConfig:
    """``config.toml``, checked.

    Attributes:
        name: display name of the project.
        inherits: environment → the environment whose values it starts from.
        required: variables that every environment must have.
        formats: variable → regular expression its whole value must match.
        secrets: patterns (fnmatch) of names that are secret besides the built-in ones.
        plugins: plugin id (or instance name) → its configuration table.
    """

    name: str
    inherits: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    formats: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, default_name: str) -> Self:
        """Check the TOML text.

        Raises:
            ConfigError: it is not TOML or a value has the wrong type.
        """
        try:
            table = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError(
                f"{FOLDER}/config.toml is not TOML: {error}", remedy="Correct that place"
            ) from error
        environments = _table(table, "environments")
        validation = _table(table, "validation")
        return cls(
            name=_text(table.get("name", default_name), "name"),
            inherits={
                name: _text(entry["inherits"], f"environments.{name}.inherits")
                for name, entry in environments.items()
                if isinstance(entry, dict) and "inherits" in entry
            },
            required=_texts(validation.get("required", []), "validation.required"),
            formats={k: _pattern(v, k) for k, v in _table(validation, "formats").items()},
            secrets=_texts(table.get("secrets", []), "secrets"),
            plugins={name: _table(_table(table, "plugins"), name) for name in _table(table, "plugins")},
        )


@dataclass(frozen=True)
class Project:
    """One project on disk. ``root`` is the directory that holds ``.envcli``."""

    root: Path
    config: ProjectConfig

    @classmethod
    def find(cls, start: Path | None = None) -> Self:
        """Open the project of ``start`` (default: the working directory) or of its nearest parent.

        Raises:
            EnvironmentStoreError: there is none, or it belongs to another user.
            ConfigError: its configuration is malformed.
        """
        begin = (start or Path.cwd()).absolute()
        for root in (begin, *begin.parents):
            if (root / FOLDER / "config.toml").is_file():
                return cls.open(root)
        raise EnvironmentStoreError(f"no project found in {begin} or above", remedy="Run: envcli init")

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open the project at exactly ``root``."""
        _verify_owner(root / FOLDER)
        if os.path.realpath(root / FOLDER) != os.path.join(os.path.realpath(root), FOLDER):  # noqa: PTH118
            raise _leads_out(root / FOLDER)
        config = root / FOLDER / "config.toml"
        _verify_inside(config, root)
        text = decode(read_bounded(config, _MAX_FILE))
        return cls(root, ProjectConfig.parse(text, root.name))

    @classmethod
    def create(cls, root: Path, environments: tuple[str, ...], *, force: bool = False) -> Self:
        """Create ``.envcli`` in ``root`` with empty ``environments``; the first becomes the current one.

        Args:
            root: an existing directory.
            environments: names, at least one.
            force: write ``config.toml`` anew where a project exists; environments that exist are kept.

        Raises:
            EnvironmentStoreError: a project exists and ``force`` is not set, or a name is invalid.
        """
        folder = root / FOLDER
        for name in environments:
            verify_environment_name(name)
        for path in (folder, folder / "environments", folder / ".gitignore", folder / "config.toml"):
            _verify_inside(path, root)
        if (folder / "config.toml").exists() and not force:
            raise EnvironmentStoreError(
                f"{folder} is already a project", remedy="Use --force to write its config.toml anew"
            )
        write_atomically(folder / ".gitignore", _IGNORED.encode(), _CONFIG_MODE)
        for name in environments:
            if not (folder / "environments" / f"{name}.env").exists():
                write_atomically(folder / "environments" / f"{name}.env", b"")
        write_atomically(folder / "config.toml", _initial_config(root.name).encode(), _CONFIG_MODE)
        project = cls.open(root)
        project.switch(environments[0])
        return project

    @property
    def folder(self) -> Path:
        """The project's ``.envcli`` directory."""
        return self.root / FOLDER

    def file_of(self, environment: str) -> Path:
        """Return the path of an environment's file, which need not exist."""
        verify_environment_name(environment)
        return self.path_of(f"environments/{environment}.env")

    def path_of(self, relative: str) -> Path:
        """Return a path below ``.envcli``, which need not exist.

        Raises:
            EnvironmentStoreError: it leads out of the project through a symbolic link.
        """
        path = self.folder / relative
        _verify_inside(path, self.root)
        return path

    def environments(self) -> tuple[str, ...]:
        """Return the names of all environments, sorted."""
        found = self.path_of("environments").glob("*.env")
        return tuple(sorted(path.stem for path in found if _NAME.fullmatch(path.stem)))

    def current(self) -> str:
        """Return the name of the current environment.

        Raises:
            EnvironmentStoreError: none is chosen or the chosen one is gone.
        """
        name = self.chosen()
        if name is None:
            raise EnvironmentStoreError(
                f"no current environment in {self.root}",
                remedy=f"Run: envcli switch NAME ({self._choices()})",
            )
        return name

    def chosen(self) -> str | None:
        """Return the name of the current environment, or None where none is chosen or the chosen one is gone."""
        try:
            name = decode(read_bounded(self.path_of("current"), 1024)).strip()
        except FileNotFoundError:
            return None
        return name if name in self.environments() else None

    def switch(self, environment: str) -> None:
        """Make ``environment`` the current one."""
        self.verify_exists(environment)
        write_atomically(self.path_of("current"), f"{environment}\n".encode())

    def create_environment(self, environment: str, inherits: str | None = None) -> None:
        """Add an empty environment, optionally inheriting another one's values, and make it the current one.

        Raises:
            EnvcliError: it exists, or a file cannot be written; nothing was changed.
        """
        file, config = self.file_of(environment), self.path_of("config.toml")
        if file.exists():
            raise EnvironmentStoreError(f"the environment {environment} exists already")
        with self.lock(), ExitStack() as undo:
            write_atomically(file, b"")
            undo.callback(file.unlink)
            if inherits is not None:
                self.verify_exists(inherits)
                before = read_bounded(config, _MAX_FILE)
                text = decode(before).rstrip("\n")
                text += f'\n\n[environments.{environment}]\ninherits = "{inherits}"\n'
                ProjectConfig.parse(text, self.root.name)
                write_atomically(config, text.encode(), _CONFIG_MODE)
                undo.callback(write_atomically, config, before, _CONFIG_MODE)
            self.switch(environment)
            undo.pop_all()

    def verify_exists(self, environment: str) -> None:
        """Raise EnvironmentStoreError unless ``environment`` exists."""
        if not self.file_of(environment).is_file():
            raise EnvironmentStoreError(
                f"there is no environment {environment!r}",
                remedy=f"Choose one of {self._choices()} or run: envcli switch --create {environment}",
            )

    def read(self, environment: str) -> Document:
        """Parse one environment's own file.

        Raises:
            EnvironmentStoreError: it does not exist or is malformed (with line and column).
        """
        self.verify_exists(environment)
        path = self.file_of(environment)
        try:
            return parse_document(decode(read_bounded(path, _MAX_FILE)))
        except GrammarError as error:
            relative = path.relative_to(self.root)
            raise EnvironmentStoreError(f"{relative}: {error.message}", remedy=error.remedy) from error

    def write(self, environment: str, document: Document) -> None:
        """Replace one environment's file; call it inside ``lock()`` when the new text depends on the old."""
        content = document.text.encode()
        if len(content) > _MAX_FILE:
            raise EnvironmentStoreError(
                f"the environment {environment} would be larger than {_MAX_FILE} bytes"
            )
        write_atomically(self.file_of(environment), content)

    def values(self, environment: str, outer: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return all values of an environment, inherited ones included, expanded.

        Args:
            environment: its name.
            outer: what references see that no environment defines; default nothing. Only what stays with the
                user may be given the process's variables: a file that others wrote can refer to any of them.
        """
        outer = outer or {}
        inherited: dict[str, str] = {}
        for name in reversed(self.ancestry(environment)):
            inherited |= self.read(name).expand({**outer, **inherited})
        return inherited

    def update(self, environment: str, changes: Mapping[str, str | None]) -> None:
        """Set the variables that have a value and remove those that have None, in one atomic write.

        Args:
            environment: its name.
            changes: variable → new value, or None to remove it; removing what is not there is no error.
        """
        with self.lock():
            document = self.read(environment)
            for name, value in changes.items():
                document = document.without(name) if value is None else document.with_value(name, value)
            self.write(environment, document)

    def plugin_config(self, name: str) -> Mapping[str, Any]:
        """Return the table ``[plugins.<name>]`` of a plugin (``id``) or a named instance (``id@instance``)."""
        return self.config.plugins.get(name, {})

    def ancestry(self, environment: str) -> tuple[str, ...]:
        """Return ``environment`` and what it inherits from, nearest first.

        Raises:
            ConfigError: the chain is circular or longer than ten.
        """
        chain = [environment]
        while (parent := self.config.inherits.get(chain[-1])) is not None:
            if parent in chain or len(chain) >= _MAX_INHERITANCE:
                raise ConfigError(
                    f"{FOLDER}/config.toml: {environment} inherits from itself or over more than ten steps",
                    remedy="Correct its inherits entries",
                )
            chain.append(parent)
        return tuple(chain)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the project's lock: one writer at a time."""
        with locked(self.folder / "lock"):
            yield

    def _choices(self) -> str:
        return ", ".join(self.environments()) or "none yet"


def verify_environment_name(name: str) -> None:
    """Raise EnvironmentStoreError unless ``name`` is a safe name of an environment."""
    if not _NAME.fullmatch(name):
        raise EnvironmentStoreError(
            f"{name!r} is no name for an environment",
            remedy="Use up to 64 letters, digits, '-' and '_', beginning with a letter or digit",
        )


def _verify_owner(folder: Path) -> None:
    owner = folder.stat().st_uid
    if owner not in {os.geteuid(), 0}:
        raise EnvironmentStoreError(
            f"{folder} belongs to another user (uid {owner})",
            remedy="Use a project of your own: its settings decide what envcli runs",
        )


def _verify_inside(path: Path, root: Path) -> None:
    """Raise EnvironmentStoreError where ``path`` lies elsewhere: a repository can hold links to anything."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise _leads_out(path)


def _leads_out(path: Path) -> EnvironmentStoreError:
    return EnvironmentStoreError(
        f"{path} leads out of the project through a symbolic link",
        remedy="Replace the link by what it should be",
    )


def _initial_config(name: str) -> str:
    import tomli_w

    head = tomli_w.dumps({"schema": 1, "name": name})
    return f"{head}\n[validation]\n# variables that every environment must have\nrequired = []\n"


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{FOLDER}/config.toml: {key} must be a table", remedy=f"Write [{key}]")
    return value


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{FOLDER}/config.toml: {key} must be a string", remedy="Put it in quotes")
    return value


def _texts(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{FOLDER}/config.toml: {key} must be a list of strings")
    return tuple(_text(item, key) for item in value)


def _pattern(value: Any, name: str) -> str:
    text = _text(value, f"validation.formats.{name}")
    try:
        re.compile(text)
    except re.error as error:
        raise ConfigError(
            f"{FOLDER}/config.toml: validation.formats.{name} is no regular expression: {error}"
        ) from error
    return text
