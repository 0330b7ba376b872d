"""Dependencies: no known vulnerability in the plugin or in anything it brings along.

pip-audit asks an OSV service about every pinned version. It passes silently when it can ask nobody, so it
runs strictly, and its report must answer for every single dependency.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, ClassVar
from urllib.request import Request, urlopen

from envcli_policy.errors import MalformedError
from envcli_policy.security_policy import default_policy
from envcli_policy.strict_json import format_time, parse_time
from packaging.utils import canonicalize_name

from envcli_vetting.errors import CheckError, CheckSkippedError
from envcli_vetting.observation import Findings, Observation, error, review
from envcli_vetting.process import run_tool
from envcli_vetting.tree import Pin, ReleaseTree


@dataclass(frozen=True)
class DependenciesCheck:
    """See the module."""

    id: ClassVar[str] = "dependencies"
    version: ClassVar[str] = f"1+pip-audit{version('pip-audit')}"
    required: ClassVar[bool] = True
    seconds: ClassVar[float] = 120

    def run(self, tree: ReleaseTree) -> Findings:
        """Ask the OSV service about the plugin and its closure."""
        if tree.closure is None:
            raise CheckSkippedError("the dependencies were not resolved")
        if tree.osv_url is None:
            raise CheckSkippedError("no OSV service is configured", remedy="Name one with osv_url")
        pins = {Pin(tree.name, tree.version), *tree.closure}
        report = _audit(tree, pins, self.seconds - 5)
        database = _database(str(tree.osv_url))
        found = (*_observations(report), *_age(database, datetime.now(UTC)))
        facts = {"vulnerabilities": [*_vulnerabilities(report)], "audited": len(pins), "database": database}
        return Findings(found, facts)


CHECK = DependenciesCheck()


def _audit(tree: ReleaseTree, pins: set[Pin], seconds: float) -> list[dict[str, Any]]:
    lock = tree.scratch / "audited.txt"
    lock.write_text(
        "".join(f"{pin.name}=={pin.version}\n" for pin in sorted(pins, key=str)), encoding="utf-8"
    )
    arguments = ["-m", "pip_audit", "--strict", "--no-deps", "--disable-pip", "-r", str(lock), "-f", "json"]
    arguments += ["-s", "osv", "--osv-url", str(tree.osv_url), "--desc", "off", "--progress-spinner", "off"]
    arguments += ["--timeout", "15", "--cache-dir", str(tree.scratch / "audit-cache")]
    done = run_tool(arguments, tree.scratch, seconds)
    answered = _parse(done.stdout, done.message)
    missing = {(canonicalize_name(pin.name), pin.version) for pin in pins} - {
        (canonicalize_name(one["name"]), str(one.get("version"))) for one in answered if "vulns" in one
    }
    if missing or any("skip_reason" in one for one in answered):
        name = min(missing)[0] if missing else "a dependency"
        raise CheckError(f"pip-audit did not answer for {name}", remedy="See whether the OSV service runs")
    if done.status not in {0, 1} or (done.status == 1 and not any(one["vulns"] for one in answered)):
        raise CheckError(f"pip-audit failed with status {done.status}: {done.message}")
    return answered


def _parse(output: bytes, message: str) -> list[dict[str, Any]]:
    try:
        answered = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError) as broken:
        raise CheckError(
            f"pip-audit gave no report: {message}", remedy="See whether the OSV service runs"
        ) from broken
    if not isinstance(answered, list) or not all(isinstance(one, Mapping) for one in answered):
        raise CheckError("pip-audit's report has an unknown shape")
    return [dict(one) for one in answered]


def _observations(report: list[dict[str, Any]]) -> Iterator[Observation]:
    for one in report:
        for vulnerability in one["vulns"]:
            fixed = ", ".join(vulnerability.get("fix_versions", [])) or "none yet"
            yield error(
                "vulnerable-dependency",
                f"{one['name']} {one['version']} has {vulnerability['id']} (fixed in: {fixed})",
                why="Everybody who installs the plugin would get the vulnerability with it",
                fix="Require a fixed version, or do without the dependency",
            )


def _database(osv_url: str) -> dict[str, str]:
    """Address and, where the service tells it, date of the advisories, as the in-toto vulns predicate has them.

    The status route is our own addition to OSV, so another service may well not have it.
    """
    database = {"uri": osv_url}
    try:
        address = f"{osv_url.removesuffix('/query')}/status"
        with urlopen(Request(address), timeout=10) as answer:  # noqa: S310 the administrator's own address
            generated = json.loads(answer.read(1 << 20))["generated"]
        if generated:
            database["lastUpdate"] = format_time(parse_time(generated, "date of the advisories"))
    except (OSError, ValueError, KeyError, TypeError, MalformedError):
        return database
    return database


def _age(database: Mapping[str, str], now: datetime) -> Iterator[Observation]:
    updated = database.get("lastUpdate")
    limit = default_policy().advisory_age
    if updated is None or now - parse_time(updated, "date of the advisories") > limit:
        yield review(
            "advisories-old",
            f"the newest known advisory is of {updated or 'unknown age'}",
            why="A vulnerability that was published since would not be found",
            fix=f"Nothing to do for authors; the index should load advisories younger than {limit.days} days",
        )


def _vulnerabilities(report: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Results in the shape of the in-toto vulns predicate."""
    for one in report:
        for vulnerability in one["vulns"]:
            subject = f"pkg:pypi/{canonicalize_name(one['name'])}@{one['version']}"
            yield {"id": vulnerability["id"], "severity": [], "annotations": [{"component": subject}]}
