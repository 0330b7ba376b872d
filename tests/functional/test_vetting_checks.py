"""Whole releases through every check, each in its own process, with bandit and pip-audit as they are."""

from pathlib import Path

import pytest
from common.osv import osv_service, vulnerability
from common.plugin_wheels import HONEST, PACKAGE, plugin_wheel
from envcli_sdk import PermissionName, PermissionRequest
from envcli_vetting import Outcome, Pin, Verdict, VettingContext, VettingReport, run_checks

CLOSURE = (Pin("hvac", "2.4.0"), Pin("requests", "2.34.2"))


def rules(report: VettingReport) -> dict[str, str]:
    return {one.rule: one.severity for one in report.observations}


def outcome(report: VettingReport, check: str) -> Outcome:
    return next(one.outcome for one in report.results if one.check == check)


def test_a_later_harmless_release_passes_by_itself(tmp_path: Path) -> None:
    with osv_service({}) as url:
        context = VettingContext(CLOSURE, url, first_release=False)
        report = run_checks([plugin_wheel(tmp_path)], context)

    assert report.verdict is Verdict.PASSED
    vetting, capability, vulns = report.statements()
    assert vetting.predicate["result"] == "PASSED"
    assert capability.predicate["undeclared"] == []
    assert vulns.predicate["scanner"]["result"] == []


def test_a_first_release_goes_to_a_person(tmp_path: Path) -> None:
    with osv_service({}) as url:
        report = run_checks([plugin_wheel(tmp_path)], VettingContext((), url))
    assert report.verdict is Verdict.NEEDS_HUMAN
    assert rules(report)["first-release"] == "review"
    assert report.statements()[0].predicate["envcli"]["rules"] == ["first-release"]


def test_wider_and_sensitive_permissions_go_to_a_person(tmp_path: Path) -> None:
    old = (PermissionRequest(PermissionName.NETWORK_CONNECT, "api.example.org:443", "It must"),)
    code = "import boto3\nimport subprocess\nclass Sample:\n    run = subprocess.run\n"
    wanted = (("network:connect", "api.example.org:443"), ("process:spawn", "git"))
    wheel = plugin_wheel(tmp_path, code, permissions=wanted)
    with osv_service({}) as url:
        report = run_checks([wheel], VettingContext((), url, first_release=False, previous=old))
    assert report.verdict is Verdict.NEEDS_HUMAN
    assert rules(report).items() >= {"permission-sensitive": "review", "permission-widened": "review"}.items()


@pytest.mark.parametrize("library", ["boto3", "hvac", "requests"])
def test_a_network_library_needs_the_network_declared(tmp_path: Path, library: str) -> None:
    code = f"import {library}\nclass Sample:\n    def execute(self, command):\n        return {library}\n"
    declared = plugin_wheel(tmp_path, code, permissions=(("network:connect", "api.example.org:443"),))
    assert "permission-undeclared" not in rules(run_checks([declared], only=("archive", "capability")))
    silent = plugin_wheel(tmp_path, code)
    assert rules(run_checks([silent], only=("archive", "capability")))["permission-undeclared"] == "error"


def test_an_unused_permission_is_pointed_out(tmp_path: Path) -> None:
    wheel = plugin_wheel(tmp_path, permissions=(("file:write", "./out"),))
    report = run_checks([wheel], only=("archive", "capability"))
    assert rules(report) == {"permission-unused": "warning"}
    assert report.results[1].facts["unused"] == ["file:write"]


def test_a_known_vulnerability_refuses(tmp_path: Path) -> None:
    with osv_service({"requests": vulnerability("requests", "PYSEC-1", "9.0")}) as url:
        report = run_checks([plugin_wheel(tmp_path)], VettingContext(CLOSURE, url, first_release=False))
    assert report.verdict is Verdict.FAILED
    assert rules(report)["vulnerable-dependency"] == "error"
    found = report.statements()[2].predicate["scanner"]["result"]
    assert [(one["id"], one["annotations"][0]["component"]) for one in found] == [
        ("PYSEC-1", "pkg:pypi/requests@2.34.2")
    ]


def test_a_vulnerability_of_the_plugin_itself_refuses(tmp_path: Path) -> None:
    with osv_service({"envcli-plugin-sample": vulnerability("envcli-plugin-sample", "ENVCLI-1", "2")}) as url:
        report = run_checks([plugin_wheel(tmp_path)], VettingContext((), url, first_release=False))
    assert report.verdict is Verdict.FAILED


@pytest.mark.parametrize("days", [31, None])
def test_old_or_undated_advisories_ask_a_person(tmp_path: Path, days: int | None) -> None:
    with osv_service({}, days=days) as url:
        report = run_checks([plugin_wheel(tmp_path)], VettingContext((), url, first_release=False))
    assert report.verdict is Verdict.NEEDS_HUMAN
    assert rules(report)["advisories-old"] == "review"


def test_an_osv_service_that_fails_or_is_gone_approves_nothing(tmp_path: Path) -> None:
    wheel = plugin_wheel(tmp_path)
    with osv_service({}, status=500) as url:
        failing = run_checks([wheel], VettingContext((), url, first_release=False))
    gone = run_checks([wheel], VettingContext((), url, first_release=False))
    for report in (failing, gone):
        assert outcome(report, "dependencies") is Outcome.ERROR
        assert report.verdict is Verdict.INCONCLUSIVE


def test_unresolved_dependencies_approve_nothing(tmp_path: Path) -> None:
    report = run_checks(
        [plugin_wheel(tmp_path)], VettingContext(None, "http://127.0.0.1:1", first_release=False)
    )
    assert outcome(report, "dependencies") is Outcome.SKIPPED
    assert report.verdict is Verdict.INCONCLUSIVE


def test_bandit_asks_a_person_about_grave_patterns_whatever_the_plugin_configures(tmp_path: Path) -> None:
    code = "import hashlib\nhashlib.md5(b'')  # nosec\nclass Sample: ...\n"
    configuration = {".bandit": b"[bandit]\nskips: B324\n", f"{PACKAGE}/.bandit": b"[bandit]\nskips: B324\n"}
    report = run_checks([plugin_wheel(tmp_path, code, extra=configuration)], only=("archive", "bandit"))
    assert rules(report) == {"bandit-B324": "review"}


@pytest.mark.parametrize(
    ("extra", "entry_points", "rule"),
    [
        ({f"{PACKAGE}/plugin.toml": b"schema = 2"}, None, "manifest-invalid"),
        ({f"{PACKAGE}/plugin.toml": b"\xff"}, None, "manifest-invalid"),
        ({}, "", "entry-point-missing"),
        ({}, f"[envcli.plugins]\nother = {PACKAGE}.plugin:Sample\n", "manifest-mismatch"),
        ({}, f"[envcli.plugins]\nsample = {PACKAGE}.absent:Sample\n", "entry-point-missing"),
        ({}, "[envcli.plugins]\nsample = elsewhere:Sample\n", "manifest-missing"),
        ({}, "[envcli.plugins]\nsample = ../x:Sample\n", "entry-point-invalid"),
        ({}, f"[envcli.plugins]\nsample = {PACKAGE}.plugin:S\n[pytest11]\nx = y\n", "entry-point-foreign"),
        (
            {},
            f"[envcli.plugins]\nsample = {PACKAGE}.plugin:S\n[console_scripts]\ngit = y:z\n",
            "entry-point-foreign",
        ),
        ({}, "not an entry point file", "entry-point-invalid"),
        ({"json/__init__.py": b""}, None, "top-level-shadow"),
        ({"envcli_sdk/__init__.py": b""}, None, "top-level-shadow"),
    ],
)
def test_metadata_that_contradicts_itself_refuses(
    tmp_path: Path, extra: dict[str, bytes], entry_points: str | None, rule: str
) -> None:
    given = {} if entry_points is None else {"entry_points": entry_points}
    report = run_checks([plugin_wheel(tmp_path, extra=extra, **given)], only=("archive", "metadata"))
    assert rules(report)[rule] == "error"
    assert report.verdict is Verdict.FAILED


def test_a_requirement_by_address_refuses(tmp_path: Path) -> None:
    wheel = plugin_wheel(tmp_path, requires=("x @ https://example.org/x-1.0-py3-none-any.whl",))
    assert rules(run_checks([wheel], only=("archive", "metadata")))["dependency-url"] == "error"


def test_every_wheel_of_a_release_is_checked(tmp_path: Path) -> None:
    wheels = [
        plugin_wheel(tmp_path, HONEST),
        plugin_wheel(tmp_path, "import subprocess\nsubprocess.run", tag="cp311-cp311-manylinux_2_28_x86_64"),
    ]
    assert rules(run_checks(wheels, only=("archive", "capability")))["permission-undeclared"] == "error"
