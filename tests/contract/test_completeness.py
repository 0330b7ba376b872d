"""A permission, rule, check or hook cannot exist without its documentation, its risk and its hostile test."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest
from envcli_sdk import PermissionName

ROOT = Path(__file__).resolve().parents[2]
PERMISSIONS = [str(name) for name in PermissionName]
RULE = re.compile(r"[a-z]+(-[a-z]+)+")


def page(name: str) -> str:
    """Return the text of one reference page."""
    return (ROOT / "docs/reference" / name).read_text()


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_permission_is_documented(permission: str) -> None:
    assert f"`{permission}`" in page("permissions.md")


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_permission_has_a_risk(permission: str) -> None:
    data = (ROOT / "policies/src/envcli_policy/data/permissions.toml").read_text()
    assert f'[permission."{permission}"]' in data


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_permission_has_a_hostile_test(permission: str) -> None:
    suite = "\n".join(path.read_text() for path in (ROOT / "tests/security").rglob("*.py"))
    assert permission in suite


def constants(folder: Path, functions: set[str]) -> set[str]:
    """Return the rule ids that calls of these functions in a folder are given as constants."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in functions and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and RULE.fullmatch(str(first.value)):
                    found.add(str(first.value))
    return found


def gate_rules() -> set[str]:
    """Return every rule id that the upload gate answers with, those of the attestation policy included."""
    from envcli_policy import attestation, errors

    own = constants(ROOT / "index/src/envcli_index", {"GateError"})
    own |= constants(ROOT / "policies/vetting/src/envcli_vetting/admission", {"AdmissionError"})
    classes = [
        value
        for module in (attestation, errors)
        for value in vars(module).values()
        if isinstance(value, type)
    ]
    return own | {
        rule for cls in classes if (rule := getattr(cls, "rule", "")) and rule.startswith("attestation")
    }


def test_gate_rules_were_found() -> None:
    assert {"attestation-missing", "attestation-subject-mismatch", "name-owned"} <= gate_rules()


@pytest.mark.parametrize("rule", sorted(gate_rules()))
def test_gate_rule_is_documented(rule: str) -> None:
    assert f"| `{rule}` |" in page("rules.md")


def check_modules() -> list[str]:
    """Return the modules of the vetting checks: one file each."""
    folder = ROOT / "policies/vetting/src/envcli_vetting/checks"
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("check", check_modules())
def test_vetting_check_is_documented(check: str) -> None:
    assert import_module(f"envcli_vetting.checks.{check}").__doc__
    assert f"| `{check}` |" in page("vetting-rules.md")


def test_hooks_are_documented_and_named() -> None:
    from envcli_sdk import hookspecs

    specs = [
        name for name, value in vars(hookspecs).items() if getattr(value, "envcli_spec", None) is not None
    ]
    methods = [
        name
        for cls in vars(hookspecs).values()
        if isinstance(cls, type)
        for name, value in vars(cls).items()
        if getattr(value, "envcli_spec", None) is not None
    ]
    found = [*specs, *methods]
    assert found
    assert [name for name in found if not re.fullmatch(r"envcli_[a-z]+(_[a-z]+)+", name)] == []
    assert [name for name in found if f"`{name}`" not in page("hooks.md")] == []
