"""``envcli plugin search | info``: what the indexes list. Display only; nothing here is a decision."""

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from envcli_host.cli.output import escape_controls, print_json, print_table, warn
from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError, MarketplaceError, OfferNotFoundError

if TYPE_CHECKING:
    from envcli_host.marketplace.catalog import ProjectListing, ProjectSummary
    from envcli_host.marketplace.indexes import IndexRecord

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

WIDEST_SUMMARY = 60


def add_verbs(subparsers: "Subparsers") -> None:
    """Add the verbs of this module."""
    search = subparsers.add_parser(
        "search", help="find plugins by words in name, summary, keywords and publisher"
    )
    search.add_argument("words", nargs="*", metavar="WORD", help="all must occur; none lists everything")
    search.add_argument("--type", help="only plugins of this type, for example integration")
    search.add_argument("--index", metavar="NAME", help="only this index")
    search.add_argument("--json", action="store_true", help="print JSON")
    search.set_defaults(func=run_search)
    info = subparsers.add_parser("info", help="show what an index lists about one plugin")
    info.add_argument("project", metavar="PLUGIN")
    info.add_argument("--index", metavar="NAME", help="only this index")
    info.add_argument("--json", action="store_true", help="print JSON")
    info.set_defaults(func=run_info)


def run_search(arguments: argparse.Namespace) -> int:
    """Search every index; one that does not answer is reported and the others are still shown.

    The exit status is 1 where an index did not answer, or nothing was found.
    """
    from envcli_host.marketplace.catalog import fetch_summaries
    from envcli_host.marketplace.indexes import select_indexes
    from envcli_host.marketplace.transport import Transport

    words = [word.casefold() for word in arguments.words]
    rows: list[tuple[IndexRecord, ProjectSummary]] = []
    failed = False
    for index in select_indexes(HostPaths.from_environment(), arguments.index):
        try:
            with Transport(index.url, f"index {index.name}") as transport:
                found = fetch_summaries(transport)
        except MarketplaceError as error:
            warn(str(error))
            failed = True
            continue
        rows += [(index, summary) for summary in found if _matches(summary, words, arguments.type)]
    if arguments.json:
        print_json([{"index": index.name, **_summary_document(summary)} for index, summary in rows])
    elif rows:
        print_table(
            ("NAME", "VERSION", "TYPE", "PUBLISHER", "SUMMARY"), (_row(summary) for _, summary in rows)
        )
    elif not failed:
        print("no plugin matches")
    return 1 if failed or not rows else 0


def run_info(arguments: argparse.Namespace) -> int:
    """Show the first index' record of a project."""
    index, listing = _find(arguments.project, HostPaths.from_environment(), arguments.index)
    if arguments.json:
        print_json({"index": index.name, **listing.document})
        return 0
    for line in _describe(index.name, listing):
        print(line)
    return 0


def _find(project: str, paths: HostPaths, index_name: str | None) -> "tuple[IndexRecord, ProjectListing]":
    from envcli_host.marketplace.catalog import fetch_project, full_name
    from envcli_host.marketplace.indexes import select_indexes
    from envcli_host.marketplace.transport import Transport

    missing: EnvcliError = OfferNotFoundError(f"no index holds {project}")
    for index in select_indexes(paths, index_name):
        with Transport(index.url, f"index {index.name}") as transport:
            try:
                return index, fetch_project(transport, full_name(project))
            except OfferNotFoundError as error:
                missing = error
    raise missing


def _matches(summary: "ProjectSummary", words: list[str], wanted_type: str | None) -> bool:
    text = " ".join((summary.name, summary.summary, summary.publisher, *summary.keywords)).casefold()
    return all(word in text for word in words) and wanted_type in {None, summary.type}


def _row(summary: "ProjectSummary") -> tuple[str, ...]:
    short = (
        summary.summary
        if len(summary.summary) <= WIDEST_SUMMARY
        else summary.summary[: WIDEST_SUMMARY - 1] + "…"
    )
    return (summary.name[:80], summary.latest[:20], summary.type[:20], summary.publisher[:30], short)


def _summary_document(summary: "ProjectSummary") -> dict[str, object]:
    return {
        "name": summary.name,
        "summary": summary.summary,
        "latest": summary.latest,
        "publisher": summary.publisher,
        "type": summary.type,
        "keywords": summary.keywords,
    }


def _describe(index_name: str, listing: "ProjectListing") -> Iterator[str]:
    document = listing.document
    publisher = _mapping(document.get("publisher"))
    yield from _field("name", f"{listing.name} (index {index_name})")
    yield from _field("summary", document.get("summary"))
    yield from _field("publisher", f"{publisher.get('name', '?')} <{publisher.get('identity', '?')}>")
    yield from _field("status", listing.status)
    yield from _field("license", document.get("license"))
    yield from _field("keywords", ", ".join(map(str, document.get("keywords") or ())))
    for release in listing.releases:
        yanked = "" if release.yanked is None else f", yanked: {release.yanked or 'no reason given'}"
        when = f", {release.uploaded:%Y-%m-%d}" if release.uploaded else ""
        yield escape_controls(f"release    {release.version} ({release.state}{when}{yanked})")
    yield from _describe_latest(document)
    yield "The index says so; envcli plugin install verifies it before anything is installed."


def _describe_latest(document: Mapping[str, Any]) -> Iterator[str]:
    releases = document.get("releases") or ()
    latest = _mapping(releases[0]) if releases else {}
    for permission in _mapping(latest.get("manifest")).get("permissions") or ():
        entry = _mapping(permission)
        what = f"{entry.get('permission')} {entry.get('scope', '')} ({entry.get('risk', '?')})"
        yield from _field("permission", f"{what}: {entry.get('reason', '')}")
    verdict = _mapping(latest.get("verdict"))
    if verdict:
        reviewers = ", ".join(map(str, verdict.get("reviewed_by") or ())) or "nobody"
        yield from _field(
            "verdict", f"{verdict.get('result')} ({verdict.get('time')}; reviewed by {reviewers})"
        )


def _field(label: str, value: object) -> Iterator[str]:
    if value:
        yield f"{label:<10} {escape_controls(str(value)[:500])}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
