"""The template: a project of every type passes its own tests, types, rules and the index' checks, untouched."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from envcli_host.cli.main import main
from envcli_host.workshop.scaffold import (
    LONGEST_NAME,
    PLUGIN_TYPES,
    PluginAnswers,
    create_project,
    template_directory,
)
from envcli_sdk import PluginType, parse_manifest

LONG = ("a" * 9 + "-") * 4 + "b" * 10


@pytest.fixture(scope="session")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all projects: most of the time goes into the SDK's types, which never differ."""
    return tmp_path_factory.mktemp("mypy")


def run(project: Path, *command: str) -> None:
    """Run a tool in the project, with nothing of this repository's configuration."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("plugin_type", PLUGIN_TYPES)
def test_a_new_project_passes_everything(tmp_path: Path, plugin_type: str, mypy_cache: Path) -> None:
    created = create_project(
        PluginAnswers("greeter", plugin_type, "Does something", "Ada Lovelace"), tmp_path
    )
    run(created, "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'run'}")
    run(created, "mypy", f"--cache-dir={mypy_cache}", "src", "tests")
    run(created, "ruff", "check", ".")
    run(created, "ruff", "format", "--check", ".")
    assert main(["plugin", "build", "--project", str(created), "--no-isolation"]) == 0
    assert main(["plugin", "lint", "--project", str(created)]) == 0


@pytest.mark.parametrize("plugin_type", PLUGIN_TYPES)
@pytest.mark.parametrize("name", ["x", LONG])
def test_short_and_long_names_keep_the_format(tmp_path: Path, plugin_type: str, name: str) -> None:
    assert len(LONG) == LONGEST_NAME
    created = create_project(PluginAnswers(name, plugin_type, "S" * 90, "A" * 90), tmp_path)
    run(created, "ruff", "check", ".")
    run(created, "ruff", "format", "--check", ".")


@pytest.mark.parametrize("plugin_type", PLUGIN_TYPES)
def test_manifest_readme_and_entry_point_agree(tmp_path: Path, plugin_type: str) -> None:
    created = create_project(PluginAnswers("greeter", plugin_type, "Does something", "Ada"), tmp_path)
    manifest = parse_manifest((created / "src/envcli_plugin_greeter/plugin.toml").read_bytes())
    project = tomllib.loads((created / "pyproject.toml").read_text())["project"]
    readme = (created / "README.md").read_text()
    assert manifest.type is PluginType(plugin_type)
    assert project["entry-points"]["envcli.plugins"] == {manifest.id: "envcli_plugin_greeter.plugin:Greeter"}
    assert all(
        section in readme for section in ("## Install", "## Permissions", "## Configuration", "## Changelog")
    )
    assert all(f"`{request.scope}`" in readme for request in manifest.permissions)
    assert all(f"`{field.name}`" in readme for field in manifest.config)
    assert "{{" not in "".join(
        path.read_text() for path in created.rglob("*.*") if path.is_file() and path.suffix != ".yml"
    )


def test_every_type_of_the_sdk_has_a_template() -> None:
    assert {str(kind) for kind in PluginType} == set(PLUGIN_TYPES)
    assert {path.name for path in (template_directory() / "templates").iterdir()} == set(PLUGIN_TYPES)


@pytest.mark.parametrize(
    ("name", "plugin_type", "summary", "author"),
    [
        ("Upper", "command", "s", "a"),
        ("../outside", "command", "s", "a"),
        ("a" * 51, "command", "s", "a"),
        ("", "command", "s", "a"),
        ("double--hyphen", "command", "s", "a"),
        ("fine", "virus", "s", "a"),
        ("fine", "command", 'quo"te', "a"),
        ("fine", "command", "two\nlines", "a"),
        ("fine", "command", "{{ cookiecutter }}", "a"),
        ("fine", "command", "s", "back\\slash"),
        ("fine", "command", "s" * 91, "a"),
        ("fine", "command", "", "a"),
    ],
)
def test_bad_answers_leave_nothing_behind(
    tmp_path: Path, name: str, plugin_type: str, summary: str, author: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        name,
        "--type",
        plugin_type,
        "--summary",
        summary,
        "--author",
        author,
        "--output",
        str(tmp_path),
    ]
    try:
        status = main(["plugin", "new", *arguments])
    except SystemExit as refused:
        status = int(refused.code or 0)
    assert status != 0
    assert list(tmp_path.iterdir()) == []
    assert "error:" in capsys.readouterr().err


def test_the_templates_own_hook_refuses_as_well(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "cookiecutter",
        "--no-input",
        "-o",
        str(tmp_path),
        str(template_directory()),
    ]
    done = subprocess.run([*command, "plugin_name=Bad Name"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "must be lower-case words" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "envcli-plugin-mine").mkdir()
    assert main(["plugin", "new", "mine", "--type", "theme", "--output", str(tmp_path)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_the_wheel_carries_the_template(tmp_path: Path) -> None:
    import zipfile

    host = template_directory().parent / "envcli_host"
    run(host, "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    inside = {
        name.removeprefix("envcli_host/workshop/template/") for name in zipfile.ZipFile(wheel).namelist()
    }
    files = [
        path for path in template_directory().rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {str(path.relative_to(template_directory())) for path in files} <= inside
