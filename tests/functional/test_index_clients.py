"""Unmodified programs against the index: twine and uv upload, pip and uv install."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from common.index_server import IndexServer, Plugin, index_server, plugin_wheel

__all__ = ["index_server"]


def run(*command: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program with a clean configuration."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "TWINE_"))
    }
    settings = {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "NO_COLOR": "1", "HOME": str(cwd)}
    return subprocess.run(
        command,
        cwd=cwd,
        env=clean | settings | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def tool(name: str) -> str:
    """A program of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


def write(plugin: Plugin, attestations: str, folder: Path) -> Path:
    """Put a file and its attestation where the uploaders look for them."""
    path = folder / plugin.filename
    path.write_bytes(plugin.content)
    if attestations:
        first = attestations.strip()[1:-1]
        path.with_name(path.name + ".publish.attestation").write_text(first)
    return path


def test_twine_uploads_and_shows_the_rule_of_a_refusal(index_server: IndexServer, tmp_path: Path) -> None:
    plugin = plugin_wheel()
    path = write(plugin, index_server.attest(plugin), tmp_path)
    command = [
        sys.executable,
        "-m",
        "twine",
        "upload",
        "--non-interactive",
        "--repository-url",
        index_server.upload_url,
    ]
    secrets = {"TWINE_USERNAME": "__token__", "TWINE_PASSWORD": index_server.token()}
    refused = run(*command, str(path), cwd=tmp_path, **secrets)
    assert refused.returncode != 0
    assert "attestation-missing" in refused.stdout + refused.stderr
    attestation = str(path) + ".publish.attestation"
    accepted = run(*command, "--attestations", str(path), attestation, cwd=tmp_path, **secrets)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert index_server.release(plugin).state in {"submitted", "checking"}


def test_uv_publishes_with_attestations(index_server: IndexServer, tmp_path: Path) -> None:
    plugin = plugin_wheel()
    write(plugin, index_server.attest(plugin), tmp_path)
    token = {"UV_PUBLISH_TOKEN": index_server.token()}
    command = [
        tool("uv"),
        "publish",
        "--trusted-publishing",
        "never",
        "--publish-url",
        index_server.upload_url,
    ]
    done = run(*command, "envcli_plugin_*", cwd=tmp_path, **token)
    assert done.returncode == 0, done.stderr
    assert index_server.release(plugin).files[0].sha256 == plugin.sha256


@pytest.fixture(scope="module")
def published(index_server: IndexServer) -> Plugin:
    """A plugin that needs a first-party wheel."""
    plugin = plugin_wheel(requires=("envcli-sdk",))
    index_server.publish(plugin)
    return plugin


def test_pip_installs_with_dependencies_from_one_index(
    index_server: IndexServer, published: Plugin, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-cache-dir",
        "--index-url",
        index_server.simple_url,
    ]
    done = run(*command, "--target", str(tmp_path / "site"), published.project, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "envcli_sdk").is_dir()


def test_pip_resolves_by_upload_time_and_metadata_alone(
    index_server: IndexServer, published: Plugin, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-cache-dir",
        "--index-url",
        index_server.simple_url,
    ]
    limits = [
        "--dry-run",
        "--ignore-installed",
        "--only-binary",
        ":all:",
        "--uploaded-prior-to",
        "2099-01-01",
    ]
    done = run(*command, *limits, published.project, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Would install envcli-{published.project.removeprefix('envcli-')}" in done.stdout


def test_uv_installs_and_honours_exclude_newer(
    index_server: IndexServer, published: Plugin, tmp_path: Path
) -> None:
    command = [tool("uv"), "pip", "install", "--no-cache", "--index-url", index_server.simple_url]
    target = ["--target", str(tmp_path / "site"), published.project]
    past = run(*command, "--exclude-newer", "2001-01-01T00:00:00Z", *target, cwd=tmp_path)
    assert past.returncode != 0
    done = run(*command, "--exclude-newer", "2099-01-01T00:00:00Z", *target, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert any((tmp_path / "site").glob("envcli_plugin_*"))
