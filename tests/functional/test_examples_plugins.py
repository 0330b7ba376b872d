"""The examples pass their own tests, still look like the template, and are judged by vetting as they should be."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from common.require import require
from envcli_host.workshop.building import build_project, release_files
from envcli_host.workshop.linting import lint_files
from envcli_host.workshop.project import PluginProject
from envcli_host.workshop.scaffold import PluginAnswers, create_project

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("**/envcli-plugin-*/pyproject.toml"))
HOSTILE = ROOT / "examples/hostile/envcli-plugin-hostile"
HONEST = [path for path in EXAMPLES if path != HOSTILE]


@pytest.fixture(scope="session")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all projects: most of the time goes into the SDK's types, which never differ."""
    return tmp_path_factory.mktemp("mypy")


def run(project: Path, *command: str) -> None:
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


@pytest.fixture
def copied(request: pytest.FixtureRequest, tmp_path: Path) -> PluginProject:
    """A copy of an example, so that building leaves no file in the repository."""
    import shutil

    source: Path = request.param
    ignored = shutil.ignore_patterns("dist", "__pycache__", ".*_cache", ".tox")
    return PluginProject.load(shutil.copytree(source, tmp_path / source.name, ignore=ignored))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_its_own_tests_types_and_rules(example: Path, tmp_path: Path, mypy_cache: Path) -> None:
    require("linux")
    run(example, "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'run'}")
    run(example, "mypy", f"--cache-dir={mypy_cache}", "src", "tests")
    run(example, "ruff", "check", "--no-cache", ".")
    run(example, "ruff", "format", "--check", "--no-cache", ".")


@pytest.mark.parametrize("copied", HONEST, ids=lambda path: path.name, indirect=True)
def test_vetting_refuses_no_honest_example(copied: PluginProject) -> None:
    build_project(copied, isolated=False, progress=lambda _line: None)
    report = lint_files(release_files(copied))
    assert report.passed, report.observations
    assert not [item for item in report.observations if item["rule"] == "permission-undeclared"]


@pytest.mark.parametrize("copied", [HOSTILE], ids=lambda path: path.name, indirect=True)
def test_vetting_names_every_undeclared_use_of_the_hostile_one(copied: PluginProject) -> None:
    build_project(copied, isolated=False, progress=lambda _line: None)
    report = lint_files(release_files(copied))
    assert not report.passed
    seen = " ".join(
        item["evidence"] for item in report.observations if item["rule"] == "permission-undeclared"
    )
    for permission in ("file:read", "variable:read", "network:connect", "process:spawn"):
        assert permission in seen


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_it_still_looks_like_the_template(example: Path, tmp_path: Path) -> None:
    project = PluginProject.load(example)
    plugin_type = re.search(r'^type = "([a-z-]+)"$', project.manifest_file().read_text(), re.MULTILINE)
    assert plugin_type
    fresh = create_project(
        PluginAnswers(project.name, plugin_type[1], "Summary", "The envcli authors"), tmp_path
    )
    names = {str(path.relative_to(fresh)) for path in fresh.rglob("*") if path.is_file()}
    missing = [name for name in names if not (example / name).is_file()]
    assert missing == []
    for name in ("LICENSE", ".gitignore", ".github/workflows/test.yml"):
        assert (example / name).read_text() == (fresh / name).read_text()
    kept = set((fresh / "tox.ini").read_text().splitlines())
    assert kept <= set((example / "tox.ini").read_text().splitlines())


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository's distributions as wheels, which ``ENVCLI_WHEELS`` may name."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in ("envcli_host/sdk", "envcli_host/sandbox", "policies", "policies/vetting", "envcli_host"):
        run(ROOT / source, "build", "--wheel", "--no-isolation", "--outdir", str(folder))
    return folder


QUICK = ROOT / "examples/envcli-plugin-url-credentials"
IN_TOX = [path if path == QUICK else pytest.param(path, marks=pytest.mark.slow) for path in EXAMPLES]


@pytest.mark.parametrize("copied", IN_TOX, ids=lambda path: path.name, indirect=True)
def test_tox_runs_it_in_an_environment_of_its_own(
    copied: PluginProject, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVCLI_WHEELS", str(wheels))
    for name in [name for name in os.environ if name.startswith("TOX_")]:
        monkeypatch.delenv(name)
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    run(copied.directory, "tox", "run", "-q", "-e", f"{python}-sdklowest")
