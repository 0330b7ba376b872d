"""A permission, rule, check or hook cannot exist without its documentation, its risk and its hostile test."""

import re
from pathlib import Path

import pytest
from envcli_sdk import PermissionName

ROOT = Path(__file__).resolve().parents[2]
RULE = re.compile(r'(?:GateError|Refusal|refuse|RuleId|rule|rule_id)(?:\(|=)\s*"([a-z]+(?:-[a-z]+)+)"')
PERMISSIONS = [str(name) for name in PermissionName]


def page(name: str) -> str:
    """Return the text of one reference page."""
    return (ROOT / "docs/reference" / name).read_text()


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_permission_is_documented(permission: str) -> None:
    assert f"`{permission}`" in page("permissions.md")


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_permission_has_a_risk(permission: str) -> None:
    data = (ROOT / "policies/src/envcli_policy/data/permissions.toml").read_text()
    assert permission in data


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_permission_has_a_hostile_test(permission: str) -> None:
    suite = "\n".join(path.read_text() for path in (ROOT / "tests/security").rglob("*.py"))
    assert permission in suite


def rule_ids() -> list[str]:
    """Return every rule id that the upload gate or a vetting check can answer with."""
    found: set[str] = set()
    sources = [*(ROOT / "index/src/envcli_index/upload").rglob("*.py")]
    sources += [*(ROOT / "policies/vetting/src/envcli_vetting").rglob("*.py")]
    for path in sources:
        found |= set(RULE.findall(path.read_text()))
    return sorted(found)


def test_rules_were_found() -> None:
    assert len(rule_ids()) > 15


@pytest.mark.parametrize("rule", rule_ids())
def test_rule_is_documented(rule: str) -> None:
    assert f"`{rule}`" in page("rules.md")
