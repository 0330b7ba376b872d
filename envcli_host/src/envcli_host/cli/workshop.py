"""``envcli plugin new|test|lint|build|sign|publish|status``: the verbs of plugin authors."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLUGIN_TYPES = ("command", "validation-rule", "integration", "workflow", "analytics", "theme")


def add_verbs(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the authors' verbs to the parser of ``envcli plugin``; nothing heavy is imported until one runs."""
    _add_new(subparsers)
    test = _add(subparsers, "test", _test, "run the project's tests")
    test.add_argument("arguments", nargs="*", metavar="ARG", help="passed to pytest; put options behind --")
    lint = _add(subparsers, "lint", _lint, "run the index' vetting checks on this machine")
    lint.add_argument(
        "files", nargs="*", type=Path, help="a wheel and its source archive; default: those in dist/"
    )
    build = _add(subparsers, "build", _build, "build a reproducible wheel and source archive")
    build.add_argument("--no-isolation", action="store_true", help="use the build system of this environment")
    for name, action, text in (
        ("sign", _sign, "sign the built files without a key of your own"),
        ("publish", _publish, "check, sign and upload the built files"),
        ("status", _status, "show where a published release stands and what vetting observed"),
    ):
        verb = _add(subparsers, name, action, text)
        verb.add_argument(
            "--index", metavar="NAME", help="which configured index; needed if there are several"
        )
        if name == "publish":
            verb.add_argument(
                "--upload-url",
                metavar="URL",
                help="where the index takes uploads; default: ENVCLI_UPLOAD_URL, else what it states",
            )
    subparsers.choices["status"].add_argument(
        "--version", metavar="V", help="another version than the project's"
    )


def _add_new(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    new = subparsers.add_parser("new", help="start a plugin project")
    new.add_argument("name", help="name of the plugin; the project is called envcli-plugin-NAME")
    new.add_argument(
        "--type", required=True, choices=PLUGIN_TYPES, dest="plugin_type", help="what it contributes"
    )
    new.add_argument("--summary", default="An envcli plugin", help="one line that says what it does")
    new.add_argument("--author", help="who publishes it; default: Git's user.name")
    new.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="parent folder; default: here"
    )
    new.add_argument("--json", action="store_true", help="print a JSON object")
    new.set_defaults(func=_new)


def _add(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    action: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=text, description=text)
    parser.add_argument(
        "--project", type=Path, default=Path(), metavar="DIR", help="the project; default: here"
    )
    if name != "test":
        parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(func=action)
    return parser


def _new(arguments: argparse.Namespace) -> int:
    from envcli_host.workshop.scaffold import PluginAnswers, create_project, git_author

    author = arguments.author or git_author()
    answers = PluginAnswers(arguments.name, arguments.plugin_type, arguments.summary, author)
    created = create_project(answers, arguments.output.resolve())
    _show(
        arguments, {"project": str(created)}, f"created {created}\nnext: cd {created} && envcli plugin test"
    )
    return 0


def _test(arguments: argparse.Namespace) -> int:
    from envcli_host.workshop.project import PluginProject
    from envcli_host.workshop.trials import run_tests

    return run_tests(PluginProject.load(arguments.project.resolve()), arguments.arguments)


def _lint(arguments: argparse.Namespace) -> int:
    from envcli_host.workshop.building import release_files
    from envcli_host.workshop.linting import lint_files, render_lint
    from envcli_host.workshop.project import PluginProject

    files = arguments.files or release_files(PluginProject.load(arguments.project.resolve()))
    report = lint_files(files)
    _show(arguments, report.document, render_lint(report))
    return 0 if report.passed else 1


def _build(arguments: argparse.Namespace) -> int:
    from envcli_host.workshop.building import build_project
    from envcli_host.workshop.project import PluginProject

    project = PluginProject.load(arguments.project.resolve())
    record = build_project(project, isolated=not arguments.no_isolation, progress=_progress)
    lines = [f"sha256:{digest}  {project.dist / name}" for name, digest in record.files.items()]
    _show(arguments, {"directory": str(project.dist), "files": record.files}, "\n".join(lines))
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    from envcli_host.config import HostPaths
    from envcli_host.workshop.credentials import read_token
    from envcli_host.workshop.project import PluginProject
    from envcli_host.workshop.publishing import find_market, sign

    paths = HostPaths.from_environment()
    project = PluginProject.load(arguments.project.resolve())
    token = read_token(paths)
    written = sign(project, find_market(paths, arguments.index), token, _progress)
    _show(arguments, {"attestations": written}, "\n".join(f"wrote {project.dist / name}" for name in written))
    return 0


def _publish(arguments: argparse.Namespace) -> int:
    from envcli_host.config import HostPaths
    from envcli_host.workshop.credentials import read_token
    from envcli_host.workshop.project import PluginProject
    from envcli_host.workshop.publishing import find_market, publish

    paths = HostPaths.from_environment()
    project = PluginProject.load(arguments.project.resolve())
    token = read_token(paths)
    status = publish(project, find_market(paths, arguments.index, arguments.upload_url), token, _progress)
    text = (
        f"{project.name} {project.version} was accepted and is being vetted; users see it once approved\n"
        f"follow it with: envcli plugin status, or at {status}"
    )
    _show(arguments, {"project": project.name, "version": project.version, "status_url": status}, text)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from envcli_host.config import HostPaths
    from envcli_host.workshop.project import PluginProject
    from envcli_host.workshop.publishing import read_status
    from envcli_host.workshop.reporting import render_status

    project = PluginProject.load(arguments.project.resolve())
    if arguments.version:
        project = replace(project, version=arguments.version)
    status = read_status(project, HostPaths.from_environment(), arguments.index)
    _show(arguments, status, render_status(status))
    return 0


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _show(arguments: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    print(json.dumps(document, indent=2, sort_keys=True) if arguments.json else text)
