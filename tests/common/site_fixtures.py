"""Fixtures of the site; a test module names this module in ``pytest_plugins``."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from envcli_web.app import create_app
from envcli_web.config import WebConfig

from common.public_tree import PublicTree
from common.site import URL, Site, SiteClient, initialise


@pytest.fixture(scope="session")
def site_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised data directory that tests copy."""
    data = tmp_path_factory.mktemp("site-template")
    initialise(WebConfig(data=data, url=URL, index_url="http://127.0.0.1:9"))
    return data


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[PublicTree]:
    """An index without projects."""
    root = tmp_path / "tree"
    root.mkdir()
    with PublicTree(root) as served:
        yield served


@pytest.fixture
def site(site_template: Path, tmp_path: Path, tree: PublicTree) -> Site:
    """A site without accounts that follows ``tree``."""
    data = tmp_path / "site"
    shutil.copytree(site_template, data)
    config = WebConfig(
        data=data, url=URL, index_url=tree.url, upload_url="http://127.0.0.1:9/upload", testing=True
    )
    config.save()
    return Site(create_app(config), config, tree)


@pytest.fixture
def browser(site: Site) -> SiteClient:
    """A browser without account."""
    return site.client()
