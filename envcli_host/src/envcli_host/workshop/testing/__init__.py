"""pytest plugin for plugin authors: run the plugin with exactly the grants a user would give.

Switch it on in ``pyproject.toml``::

    [tool.pytest.ini_options]
    addopts = ["-p", "envcli_host.workshop.testing"]

and ask for the fixture ``plugin_host``::

    def test_pull(plugin_host: PluginHost) -> None:
        with plugin_host(config={"region": "eu-west-1"}, sandboxed=True) as plugin:
            plugin.execute(EnvironmentSync(Direction.pull, "prod"))
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from envcli_host.workshop.testing.session import PluginUnderTest, open_plugin_under_test

__all__ = ["PluginHost", "PluginUnderTest", "plugin_host", "plugin_tree"]


class PluginHost(Protocol):
    """Opens the project's plugin; the type of the fixture ``plugin_host``."""

    def __call__(
        self,
        *,
        config: Mapping[str, object] | None = None,
        environments: Mapping[str, Mapping[str, str]] | None = None,
        grants: Sequence[str] | None = None,
        sandboxed: bool = False,
    ) -> AbstractContextManager[PluginUnderTest]:
        """Open the plugin.

        Args:
            config: values of the manifest's ``[config]`` fields; defaults apply.
            environments: the project's environments.
            grants: ``"permission scope"`` lines; None grants all that the manifest requests, () nothing.
            sandboxed: run in the kernel sandbox, as users do; otherwise in this process, where asks and
                connections are held against the grants as well, but files are not.
        """


@pytest.fixture(scope="session")
def plugin_tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with its dependencies in one folder, as an installed plugin has it."""
    from envcli_host.workshop.project import PluginProject
    from envcli_host.workshop.testing.staging import stage_tree

    tree = tmp_path_factory.mktemp("plugin-tree")
    stage_tree(PluginProject.load(request.config.rootpath), tree)
    return tree


@pytest.fixture
def plugin_host(request: pytest.FixtureRequest, tmp_path: Path) -> PluginHost:
    """Opens the project's plugin in this process or in the sandbox."""
    from envcli_host.workshop.project import PluginProject

    project = PluginProject.load(request.config.rootpath)

    def open_plugin(
        *,
        config: Mapping[str, object] | None = None,
        environments: Mapping[str, Mapping[str, str]] | None = None,
        grants: Sequence[str] | None = None,
        sandboxed: bool = False,
    ) -> AbstractContextManager[PluginUnderTest]:
        tree: Path | None = request.getfixturevalue("plugin_tree") if sandboxed else None
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        return open_plugin_under_test(
            project,
            folder=folder,
            config=config or {},
            environments=environments or {},
            grants=grants,
            tree=tree,
        )

    return open_plugin
