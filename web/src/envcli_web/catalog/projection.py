"""Keeping the catalog in step with the index's event feed.

The feed is read in order and each event must name the digest of the one before; a gap or a fork means that the feed
was replaced, and everything is fetched anew. An event says only which project changed: what the catalog shows is the
project's present record, so that reading an event twice does no harm.
"""

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from envcli_web.catalog import search
from envcli_web.catalog.index_client import (
    NAME,
    FeedEvent,
    FeedHead,
    GarbledRecordError,
    IndexClient,
)
from envcli_web.catalog.models import FeedCursor, Project, ProjectCategory, ReleaseFile
from envcli_web.catalog.records import keywords_of, latest_version, parse_time, releases_of
from envcli_web.categories.services import file_under
from envcli_web.database import db, now, write

MAX_EVENTS = 500
PROMOTED = "release.promoted/1"

logger = logging.getLogger(__name__)


def read_cursor(session: Session) -> FeedHead:
    """Return how far the feed has been read."""
    cursor = session.get(FeedCursor, 1)
    return FeedHead(cursor.seq, cursor.sha256) if cursor else FeedHead(0, "")


def _save_cursor(session: Session, head: FeedHead) -> None:
    session.merge(FeedCursor(id=1, seq=head.seq, sha256=head.sha256, refreshed=now()))


def _apply(project: Project, record: dict[str, Any]) -> None:
    publisher = record.get("publisher") or {}
    uploads = [moment for release in releases_of(record) if (moment := parse_time(release.get("uploaded")))]
    project.uuid = str(record["project_uuid"])
    project.publisher_uuid = str(publisher.get("uuid") or "")
    project.publisher_name = str(publisher.get("name") or "")[:200]
    project.publisher_identity = str(publisher.get("identity") or "")[:500]
    project.status = str(record.get("status") or "active")[:20]
    project.type = str(record.get("type") or "")[:40]
    project.summary = str(record.get("summary") or "")[:1000]
    project.keywords = " ".join(keywords_of(record))[:1000]
    project.latest = latest_version(record)
    project.first_upload = min(uploads, default=None)
    project.last_upload = max(uploads, default=None)
    project.record = record


def _put_files(session: Session, project: Project) -> None:
    session.execute(delete(ReleaseFile).where(ReleaseFile.project_id == project.id))
    for release in releases_of(project.record):
        for item in release.get("files") or []:
            row = ReleaseFile(
                sha256=str(item["sha256"])[:64],
                project_id=project.id,
                version=str(release["version"])[:100],
                filename=str(item["filename"])[:300],
            )
            session.merge(row)


def _put_categories(session: Session, project: Project) -> None:
    declared = project.record.get("categories") or []
    slugs = file_under(session, [str(slug) for slug in declared], keywords_of(project.record), project.type)
    session.execute(delete(ProjectCategory).where(ProjectCategory.project_id == project.id))
    session.add_all(ProjectCategory(project_id=project.id, category_slug=slug) for slug in slugs)


def put_project(session: Session, name: str, record: dict[str, Any]) -> Project:
    """Write the record of one project into the catalog.

    Raises:
        GarbledRecordError: the record lacks what the catalog cannot do without.
    """
    project = session.scalar(select(Project).where(Project.name == name))
    if project is None:
        project = Project(name=name, search_rank=search.next_rank(session))
    try:
        _apply(project, record)
        session.add(project)
        session.flush()
        _put_files(session, project)
        _put_categories(session, project)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise GarbledRecordError(f"The record of {name} lacks or garbles a field: {error}") from error
    search.put_into_index(session, project)
    return project


def _drop_project(session: Session, name: str) -> None:
    project = session.scalar(select(Project).where(Project.name == name))
    if project is not None:
        project.status, project.latest = "removed", None
        search.remove_from_index(session, project)


def refresh_project(client: IndexClient, name: str, events: Sequence[FeedEvent] = ()) -> bool:
    """Fetch one project's record and write it.

    A project that is gone is no longer listed but keeps its reviews. A garbled record leaves the last good one, so
    that one project cannot stop the catalog.

    Returns:
        Whether the record was usable.
    """
    try:
        record = client.project(name)
        with write() as session:
            if record is None:
                _drop_project(session, name)
            else:
                _check_promoted(name, record, events)
                put_project(session, name, record)
    except GarbledRecordError:
        logger.exception("the catalog keeps the last good record of %s", name)
        return False
    return True


def _check_promoted(name: str, record: dict[str, Any], events: Sequence[FeedEvent]) -> None:
    """A record says no more about a release than the event of its promotion: the same publisher, no other file.

    Raises:
        GarbledRecordError: it does.
    """
    told = {
        str(event.data.get("version")): event.data
        for event in events
        if event.type == PROMOTED and isinstance(event.data.get("files"), dict)
    }
    for release in releases_of(record):
        data = told.get(str(release.get("version")))
        if data is None:
            continue
        files = {(str(item.get("filename")), str(item.get("sha256"))) for item in release.get("files") or []}
        who = (record.get("project_uuid"), (record.get("publisher") or {}).get("uuid"))
        if who != (data.get("project_uuid"), data.get("publisher")) or not files <= set(
            data["files"].items()
        ):
            raise GarbledRecordError(f"The record of {name} contradicts the event of its promotion")


def project_of(event: FeedEvent) -> str | None:
    """Return the project that an event is about, None for events about other things."""
    for value in (event.data.get("project"), event.data.get("name"), event.subject):
        name = str(value or "").removeprefix("pkg:pypi/").split("@")[0].split("==")[0]
        if NAME.fullmatch(name):
            return name
    return None


def rebuild(client: IndexClient, head: FeedHead) -> int:
    """Fetch every project anew and continue after ``head``; return the number of projects."""
    names = client.names()
    count = sum(refresh_project(client, name) for name in names)
    with write() as session:
        gone = session.scalars(
            select(Project.name).where(Project.name.not_in(names), Project.status != "removed")
        )
        for name in list(gone):
            _drop_project(session, name)
        _save_cursor(session, head)
    logger.info("catalog rebuilt: %d projects, feed at event %d", count, head.seq)
    return count


def rebuild_all(client: IndexClient) -> int:
    """Fetch every project anew, which heals whatever went wrong before; return the number of projects."""
    head = client.head()
    return 0 if head is None else rebuild(client, _checked_head(client, head))


def _read_events(client: IndexClient, cursor: FeedHead, head: FeedHead) -> list[FeedEvent] | None:
    events: list[FeedEvent] = []
    last = cursor.sha256
    for seq in range(cursor.seq + 1, min(head.seq, cursor.seq + MAX_EVENTS) + 1):
        event = client.event(seq)
        if event.seq != seq or event.prev_sha256 != last:
            return None
        last = event.sha256
        events.append(event)
    return events


def refresh(client: IndexClient) -> int:
    """Bring the catalog up to the newest event.

    Returns:
        The number of projects that were brought up to date.

    Raises:
        IndexUnusableError: the index does not answer or answers nonsense; the catalog keeps its last good state.
    """
    head = client.head()
    cursor = read_cursor(db.session)
    db.session.rollback()
    if head is None:
        return 0
    if cursor.seq == 0 or head.seq < cursor.seq:
        return rebuild(client, _checked_head(client, head))
    if head.seq == cursor.seq:
        return 0
    events = _read_events(client, cursor, head)
    if events is None:
        logger.warning("the index's feed does not continue event %d: rebuilding the catalog", cursor.seq)
        return rebuild(client, _checked_head(client, head))
    names = list(dict.fromkeys(name for event in events if (name := project_of(event))))
    about = {name: [event for event in events if project_of(event) == name] for name in names}
    count = sum(refresh_project(client, name, about[name]) for name in names)
    with write() as session:
        _save_cursor(session, FeedHead(events[-1].seq, events[-1].sha256))
    return count


def _checked_head(client: IndexClient, head: FeedHead) -> FeedHead:
    return FeedHead(head.seq, client.event(head.seq).sha256) if head.seq else head
