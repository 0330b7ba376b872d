"""``envcli plugin install | dev``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from envcli_host.cli.output import note, print_json, warn
from envcli_host.cli.progress import terminal_progress
from envcli_host.config import HostPaths
from envcli_host.environments.project import Project
from envcli_host.errors import EnvironmentStoreError, UsageError

if TYPE_CHECKING:
    from envcli_host.plugins.consent import Answers
    from envcli_host.plugins.registry import Record


def run_install(arguments: argparse.Namespace) -> int:
    """Verify, ask, install."""
    from envcli_host.plugins.lifecycle import install
    from envcli_host.plugins.planning import parse_spec

    name, version = parse_spec(arguments.plugin)
    paths = HostPaths.from_environment()
    with terminal_progress() as progress:
        report = install(
            name,
            version,
            paths,
            answers_of(arguments),
            progress=progress,
            project=current_project(),
            index_name=arguments.index,
            reinstall=arguments.reinstall,
        )
    for line in report.notes:
        note(line)
    if arguments.json:
        print_json([describe(record, paths) for record in report.installed])
    else:
        for record in report.installed:
            print(f"installed {record.project} {record.version}")
    return 0


def run_dev(arguments: argparse.Namespace) -> int:
    """Link a folder."""
    from envcli_host.plugins.permissions import link

    paths = HostPaths.from_environment()
    record = link(
        Path(arguments.folder), current_project(), paths, answers_of(arguments), fetch=arguments.fetch
    )
    warn(f"{record.project} is unverified: it runs under the strict policy until you remove it")
    if arguments.json:
        print_json(describe(record, paths))
    else:
        print(f"linked {record.project} {record.version} from {record.folder}")
    return 0


def answers_of(arguments: argparse.Namespace) -> "Answers":
    """What ``--yes`` and ``--allow-risk`` say.

    Raises:
        UsageError: ``--allow-risk`` stands without ``--yes``.
    """
    from envcli_policy.permissions import RiskTier
    from envcli_policy.security_policy import default_policy

    from envcli_host.plugins.consent import Answers

    if arguments.allow_risk and not arguments.yes:
        raise UsageError(
            "--allow-risk says what --yes may agree to", remedy="Pass both, or neither to be asked"
        )
    tier = RiskTier(arguments.allow_risk) if arguments.allow_risk else default_policy().allowed_risk
    return Answers(yes=arguments.yes, allow_risk=tier)


def current_project() -> Project | None:
    """The project of the working directory, or None outside of one."""
    try:
        return Project.find()
    except EnvironmentStoreError:
        return None


def is_trusted(record: "Record", paths: HostPaths) -> bool:
    """Whether it was verified, by evidence of an index that is still trusted."""
    from envcli_host.marketplace.indexes import load_indexes

    return record.origin == "index" and any(index.name == record.index_name for index in load_indexes(paths))


def describe(record: "Record", paths: HostPaths) -> dict[str, object]:
    """A registry record for scripts."""
    return {
        "project": record.project,
        "version": record.version,
        "id": record.id,
        "type": record.type,
        "origin": str(record.origin),
        "verified": is_trusted(record, paths),
        "index": record.index_name,
        "publisher": dict(record.publisher),
        "wheel_sha256": record.wheel_sha256,
        "contributes": [
            {"kind": kind, "name": name, "summary": text} for kind, name, text in record.contributes
        ],
        "installed": record.installed,
        "folder": record.folder,
    }
