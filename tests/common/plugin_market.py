"""A host beside a small index: publish a plugin's code, install it with the real command, run it for real."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from envcli_host.audit import read_events
from envcli_host.cli.main import main
from envcli_host.config import HostPaths
from envcli_host.environments.project import Project

from common.index_simulator import ISSUER, PUBLISHER, IndexSimulator, Wheel, make_wheel
from common.private_sigstore import PrivateSigstore

NAME = "envcli-plugin-demo"
PACKAGE = "envcli_plugin_demo"


def manifest(
    *permissions: tuple[str, str],
    kind: str = "command",
    name: str = "demo",
    plugin_id: str = "demo",
    config: str = "",
    more: str = "",
) -> str:
    """A ``plugin.toml`` that asks for (permission, scope) pairs and contributes one thing of ``kind``."""
    types = {"command": "command", "scheme": "integration", "rule": "validation-rule", "event": "analytics"}
    lines = ["schema = 1", f'id = "{plugin_id}"', f'type = "{types[kind]}"', 'minimum_host_version = "0.1"']
    lines += ["[[contributes]]", f'kind = "{kind}"', f'name = "{name}"', 'summary = "A demo"', more]
    for permission, scope in permissions:
        lines += [
            "[[permissions]]",
            f'permission = "{permission}"',
            f"scope = '{scope}'",
            'reason = "to work"',
        ]
    return "\n".join([*lines, config, ""])


def plugin_wheel(
    code: str,
    text: str,
    *,
    name: str = NAME,
    version: str = "1.0.0",
    plugin_id: str = "demo",
    extra: Mapping[str, bytes] | None = None,
    requires: tuple[str, ...] = (),
) -> Wheel:
    """A plugin's wheel whose module ``main`` holds ``code`` with a class ``Demo``."""
    package = name.replace("-", "_")
    files = {
        f"{package}/__init__.py": b"",
        f"{package}/main.py": code.encode(),
        f"{package}/plugin.toml": text.encode(),
        **(extra or {}),
    }
    points = f"[envcli.plugins]\n{plugin_id} = {package}.main:Demo\n"
    return make_wheel(name, version, files, entry_points=points, requires=requires)


def new_simulator(sigstore: PrivateSigstore) -> IndexSimulator:
    """An empty index whose publish attestations are made by ``sigstore``."""

    def attest(filename: str, sha256: str) -> bytes:
        return sigstore.provenance(filename, sha256, PUBLISHER["identity"], ISSUER)

    return IndexSimulator(attest, sigstore.trusted_root)


@dataclass
class Host:
    """One user's host and project, and the index it trusts."""

    index: IndexSimulator
    paths: HostPaths
    project: Project

    def release(self, code: str, text: str, **options: object) -> Wheel:
        """Publish a version of a plugin."""
        closure = options.pop("closure", ())
        wheel = plugin_wheel(code, text, **options)  # type: ignore[arg-type]
        self.index.release(wheel, closure, manifest=text)  # type: ignore[arg-type]
        return wheel

    def install(self, *options: str, name: str = NAME, risk: str = "critical") -> int:
        """Run ``envcli plugin install`` as a script does."""
        return main(["plugin", "install", name, "--yes", "--allow-risk", risk, *options])

    def events(self, name: str = "") -> list[dict[str, object]]:
        """Audit events whose name starts with ``name``."""
        found = read_events(self.paths.audit_file)
        return [event for event in found if str(event["event"]).startswith(name)]

    def store_state(self) -> dict[str, object]:
        """Everything a failed change must leave as it was."""
        paths = self.paths
        return {
            "registry": paths.registry_file.read_text() if paths.registry_file.exists() else None,
            "grants": paths.grants_file.read_text() if paths.grants_file.exists() else None,
            "store": sorted(str(p.relative_to(paths.plugins_dir)) for p in paths.plugins_dir.rglob("*"))
            if paths.plugins_dir.exists()
            else [],
        }

    def registry(self) -> dict[str, dict[str, object]]:
        """The registry's table of plugins."""
        found: dict[str, dict[str, object]] = json.loads(self.paths.registry_file.read_text())["plugins"]
        return found


def new_host(index: IndexSimulator, folder: Path) -> Host:
    """A host that pinned ``index``, and a project with environments; ``ENVCLI_HOME`` and the folder are set already."""
    assert main(["index", "add", index.url, "--root-sha256", index.root_sha256, "--name", "test"]) == 0
    project = Project.create(folder, ("dev", "prod"))
    project.update("dev", {"API_KEY": "key-of-dev-123", "OTHER": "other-of-dev"})
    project.update("prod", {"API_KEY": "key-of-prod-456"})
    return Host(index, HostPaths.from_environment(), project)
