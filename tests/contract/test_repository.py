"""The repository keeps its own promises: locks, dependencies, docstrings, navigation."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = (
    "envcli_host",
    "envcli_host/sandbox",
    "envcli_host/sdk",
    "index",
    "policies",
    "policies/vetting",
    "web",
)
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def project(folder: str) -> dict[str, object]:
    """Return the ``[project]`` table of one distribution."""
    text = (ROOT / folder / "pyproject.toml").read_text()
    table: dict[str, object] = tomllib.loads(text)["project"]
    return table


def third_party(folder: str) -> set[str]:
    """Return the third-party requirements of one distribution, extras included."""
    table = project(folder)
    found = list(table["dependencies"])  # type: ignore[call-overload]
    for extra in table.get("optional-dependencies", {}).values():  # type: ignore[attr-defined]
        found.extend(extra)
    return {line for line in found if not line.startswith("envcli-")}


def name_of(requirement: str) -> str:
    """Return the project name of a requirement line."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return match.group().lower()


def our_modules() -> list[Path]:
    """Return every shipped Python file."""
    return sorted(path for folder in DISTRIBUTIONS for path in (ROOT / folder / "src").rglob("*.py"))


def test_runtime_input_equals_what_the_distributions_declare() -> None:
    declared = set().union(*(third_party(folder) for folder in DISTRIBUTIONS))
    lines = (ROOT / "requirements/runtime.in").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == declared


@pytest.mark.parametrize("folder", DISTRIBUTIONS)
def test_every_direct_dependency_says_why(folder: str) -> None:
    page = (ROOT / "docs/dependencies.md").read_text()
    missing = [name for line in third_party(folder) if f"| {(name := name_of(line))} |" not in page]
    assert missing == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_locks_pin_by_hash_and_name_no_host(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    pins = re.findall(r"^[a-z0-9][^\s=]*==.*$", text, re.MULTILINE)
    assert pins
    assert all(line.endswith("\\") for line in pins)


def test_no_uv_lock_is_kept() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "uv.lock" not in tracked.split()


@pytest.mark.parametrize("path", our_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_documented_and_small(path: Path) -> None:
    source = path.read_text()
    assert ast.get_docstring(ast.parse(source)), f"{path} has no docstring"
    assert source.count("\n") <= 500, f"{path} has more than 500 lines: split it by responsibility"


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if page not in nav] == []
