"""Rendered pages of the simple API, read back by a parser that knows every PEP of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from envcli_index.errors import StorageError
from envcli_index.public.simple import SimpleFile, SimplePage, render_html, render_json, render_list_html
from envcli_index.public.tree import PublicFiles
from hypothesis import given
from hypothesis import strategies as st
from pypi_simple import IndexPage, ProjectPage

FILE = SimpleFile(
    filename="envcli_plugin_demo-1.0-py3-none-any.whl",
    url="https://index.example/files/aa/envcli_plugin_demo-1.0-py3-none-any.whl",
    sha256="a" * 64,
    size=1234,
    uploaded=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    metadata_sha256="b" * 64,
    requires_python=">=3.11,<4",
    provenance="https://index.example/integrity/x/provenance",
    yanked='broken "quotes" & <tags>',
)
PAGE = SimplePage(name="envcli-plugin-demo", versions=("1.0",), files=(FILE,))


def parsed(kind: str, page: SimplePage) -> ProjectPage:
    """Read a rendered page back."""
    if kind == "json":
        import json

        return ProjectPage.from_json_data(json.loads(render_json(page)), "https://index.example/simple/x/")
    return ProjectPage.from_html(page.name, render_html(page).decode(), "https://index.example/simple/x/")


@pytest.mark.parametrize("kind", ["json", "html"])
def test_a_file_keeps_every_field(kind: str) -> None:
    page = parsed(kind, PAGE)
    assert (page.repository_version, page.status) == ("1.4", "active")
    (package,) = page.packages
    assert package.filename == FILE.filename
    assert package.digests == {"sha256": FILE.sha256}
    assert package.requires_python == FILE.requires_python
    assert (package.is_yanked, package.yanked_reason) == (True, FILE.yanked)
    assert package.metadata_digests == {"sha256": FILE.metadata_sha256}
    assert package.provenance_url == FILE.provenance


def test_json_carries_size_time_and_versions() -> None:
    page = parsed("json", PAGE)
    assert page.versions == ["1.0"]
    assert (page.packages[0].size, page.packages[0].upload_time) == (FILE.size, FILE.uploaded)


@pytest.mark.parametrize("kind", ["json", "html"])
def test_a_quarantined_project_lists_no_files(kind: str) -> None:
    page = parsed(
        kind,
        SimplePage(
            name="x", versions=("1.0",), files=(FILE,), status="quarantined", status_reason="looked at"
        ),
    )
    assert (page.packages, page.status, page.status_reason) == ([], "quarantined", "looked at")


def test_the_list_names_every_project() -> None:
    assert IndexPage.from_html(render_list_html(["b", "a"]).decode()).projects == ["a", "b"]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../b", ".hidden", "a/.b"])
def test_no_name_leaves_the_tree(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError):
        PublicFiles(tmp_path / "public").put(name, b"")
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.sampled_from(["a", "b/c", "b/d", "e/f/g"]), max_size=8))
def test_put_then_remove_leaves_nothing(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    tree = PublicFiles(tmp_path_factory.mktemp("tree"))
    for name in names:
        tree.put(name, name.encode())
        assert tree.read(name) == name.encode()
    assert [tree.remove(name) for name in set(names)] == [True] * len(set(names))
    assert list(tree.root.iterdir()) == []
