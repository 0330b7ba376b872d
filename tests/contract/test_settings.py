"""Every setting of a distribution stands on the settings page."""

from dataclasses import fields
from pathlib import Path

import pytest
from envcli_index.config import IndexConfig
from envcli_web.config import WebConfig

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/settings.md").read_text()
INTERNAL = {"data", "testing"}


@pytest.mark.parametrize("config", [IndexConfig, WebConfig])
def test_settings_are_documented(config: type) -> None:
    assert [
        one.name for one in fields(config) if one.name not in INTERNAL and f"| `{one.name}` |" not in PAGE
    ] == []
