"""Lists of plugins and everything that a plugin's page shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from envcli_policy.permissions import RiskTier
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from envcli_web.catalog import search
from envcli_web.catalog.models import FeedCursor, Project, ProjectCategory, ReleaseFile
from envcli_web.catalog.permissions import (
    PermissionChange,
    PermissionLine,
    overall_risk,
    permission_change,
    permission_lines,
)
from envcli_web.catalog.records import Takedown, is_installable, parse_time, releases_of, takedown_of
from envcli_web.database import now
from envcli_web.errors import NotFoundError

PAGE_SIZE = 20
NEW_AGE = timedelta(days=30)
MAX_PAGE = 500
SORTS = {
    "downloads": (Project.downloads_30.desc(), Project.name),
    "rating": (Project.rating_order.desc(), Project.downloads_30.desc(), Project.name),
    "newest": (Project.last_upload.desc(), Project.name),
    "name": (Project.name,),
}
DEFAULT_SORT = "downloads"


@dataclass(frozen=True)
class Listing:
    """One page of a list of plugins."""

    projects: list[Project]
    total: int
    page: int
    query: str
    sort: str
    type: str
    category: str

    @property
    def pages(self) -> int:
        """Number of pages, at least one."""
        return max(1, -(-self.total // PAGE_SIZE))


@dataclass(frozen=True)
class VersionLine:
    """One version in the history of a plugin."""

    version: str
    uploaded: datetime | None
    state: str
    is_yanked: bool
    requires_python: str
    files: list[dict[str, Any]]
    change: PermissionChange | None
    takedown: Takedown | None


@dataclass(frozen=True)
class PluginPage:
    """Everything that a plugin's page shows about one version."""

    project: Project
    version: str
    release: dict[str, Any]
    permissions: list[PermissionLine]
    risk: RiskTier
    change: PermissionChange | None
    verdict: Mapping[str, Any]
    history: list[VersionLine]
    is_installable: bool
    takedown: Takedown | None

    @property
    def verdict_time(self) -> datetime | None:
        """When the verdict was signed."""
        return parse_time(self.verdict.get("time"))

    @property
    def is_new(self) -> bool:
        """Whether the plugin appeared only lately, so that few people have looked at it."""
        first = self.project.first_upload
        return first is not None and now() - first < NEW_AGE


def _filtered(query: Select[tuple[Project]], plugin_type: str, category: str) -> Select[tuple[Project]]:
    query = query.where(Project.latest.is_not(None))
    if plugin_type:
        query = query.where(Project.type == plugin_type)
    if category:
        query = query.join(ProjectCategory).where(ProjectCategory.category_slug == category)
    return query


def _searched(session: Session, query: str, plugin_type: str, category: str) -> list[Project]:
    found = search.find_projects(session, query)
    if plugin_type:
        found = [project for project in found if project.type == plugin_type]
    if category:
        ids = select(ProjectCategory.project_id).where(ProjectCategory.category_slug == category)
        inside = set(session.scalars(ids))
        found = [project for project in found if project.id in inside]
    return found


def list_projects(
    session: Session,
    *,
    query: str = "",
    sort: str = "",
    plugin_type: str = "",
    category: str = "",
    page: int = 1,
) -> Listing:
    """Return one page of the plugins that can be installed.

    Args:
        session: a session.
        query: words to search for; results then come best first unless ``sort`` says otherwise.
        sort: a key of ``SORTS``.
        plugin_type: only plugins of this manifest type.
        category: only plugins in this category (a slug).
        page: from 1.
    """
    query, page = query.strip()[:200], min(max(page, 1), MAX_PAGE)
    start = (page - 1) * PAGE_SIZE
    if query:
        found = _searched(session, query, plugin_type, category)
        if sort in SORTS:
            found = _sorted(session, found, sort)
        chosen, total = found[start : start + PAGE_SIZE], len(found)
    else:
        sort = sort if sort in SORTS else DEFAULT_SORT
        wanted = _filtered(select(Project), plugin_type, category)
        total = session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
        chosen = list(session.scalars(wanted.order_by(*SORTS[sort]).offset(start).limit(PAGE_SIZE)))
    return Listing(chosen, total, page, query, sort if sort in SORTS else "", plugin_type, category)


def _sorted(session: Session, projects: list[Project], sort: str) -> list[Project]:
    ids = [project.id for project in projects]
    return list(session.scalars(select(Project).where(Project.id.in_(ids)).order_by(*SORTS[sort])))


def list_types(session: Session) -> list[str]:
    """Return the plugin types that occur in the catalog."""
    query = select(Project.type).where(Project.latest.is_not(None), Project.type != "").distinct()
    return list(session.scalars(query.order_by(Project.type)))


def list_of_publisher(session: Session, uuid: str) -> list[Project]:
    """Return all plugins of a publisher by name, those that cannot be installed as well."""
    return list(session.scalars(select(Project).where(Project.publisher_uuid == uuid).order_by(Project.name)))


def find_project(session: Session, name: str) -> Project:
    """Return the project called ``name``.

    Raises:
        NotFoundError: there is none, or it was never released.
    """
    project = session.scalar(select(Project).where(Project.name == name))
    if project is None:
        raise NotFoundError(f"There is no plugin called {name[:80]}")
    return project


def find_file(session: Session, sha256: str) -> ReleaseFile:
    """Return the released file with this digest.

    Raises:
        NotFoundError: no released file has it.
    """
    found = session.get(ReleaseFile, sha256)
    if found is None:
        raise NotFoundError("No released file has this digest")
    return found


def _history(record: Mapping[str, Any]) -> list[VersionLine]:
    ordered = releases_of(record)
    lines = []
    for at, release in enumerate(ordered):
        older = ordered[at + 1] if at + 1 < len(ordered) else None
        change = None
        if older is not None:
            change = permission_change(release.get("manifest") or {}, older.get("manifest") or {})
        lines.append(
            VersionLine(
                version=str(release.get("version", "")),
                uploaded=parse_time(release.get("uploaded")),
                state=str(release.get("state", "")),
                is_yanked=bool(release.get("yanked")),
                requires_python=str(release.get("requires_python") or ""),
                files=[item for item in release.get("files") or [] if isinstance(item, dict)],
                change=change,
                takedown=takedown_of(release),
            )
        )
    return lines


def plugin_page(session: Session, name: str, version: str | None = None) -> PluginPage:
    """Return what the page of a plugin shows.

    Args:
        session: a session.
        name: normalized project name.
        version: the version to show; the newest installable one (else the newest) without it.

    Raises:
        NotFoundError: there is no such plugin or version.
    """
    project = find_project(session, name)
    history = _history(project.record)
    shown = version or project.latest or (history[0].version if history else "")
    release = next((item for item in releases_of(project.record) if str(item.get("version")) == shown), None)
    if release is None:
        raise NotFoundError(f"{name} has no version {shown[:80]}")
    lines = permission_lines(release.get("manifest") or {})
    return PluginPage(
        project=project,
        version=shown,
        release=release,
        permissions=lines,
        risk=overall_risk(lines),
        change=next((line.change for line in history if line.version == shown), None),
        verdict=release.get("verdict") or {},
        history=history,
        is_installable=is_installable(project.record, release),
        takedown=takedown_of(release),
    )


def last_refresh(session: Session) -> datetime | None:
    """Return when the catalog was last brought up to date."""
    cursor = session.get(FeedCursor, 1)
    return cursor.refreshed if cursor else None
