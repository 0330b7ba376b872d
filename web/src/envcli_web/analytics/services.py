"""Taking over the index's download counts, and the small chart on a plugin's page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from envcli_web.analytics.models import DownloadDay, DownloadMethod
from envcli_web.catalog.models import Project
from envcli_web.database import now

DAYS = 30
HEIGHT = 40
STEP = 8


@dataclass(frozen=True)
class Bar:
    """One day of a chart."""

    day: date
    downloads: int
    x: int
    height: int


@dataclass(frozen=True)
class Chart:
    """Downloads of each of the last days, with the sizes that the picture needs."""

    bars: list[Bar]
    how: str
    width: int = DAYS * STEP
    height: int = HEIGHT


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) else 0


def take_downloads(session: Session, stats: Mapping[str, Any]) -> int:
    """Store the counts of ``stats/downloads.json`` and return the number of projects that changed."""
    counts = stats.get("projects")
    if not isinstance(counts, dict):
        return 0
    today, changed, how = now().date(), 0, ""
    for project in session.scalars(select(Project).where(Project.name.in_(counts))):
        entry = counts[project.name]
        total, recent = _count(entry.get("total")), _count(entry.get("last_30_days"))
        how = str(entry.get("how") or how)
        if (project.downloads, project.downloads_30) != (total, recent):
            project.downloads, project.downloads_30 = total, recent
            changed += 1
        session.merge(DownloadDay(project_id=project.id, day=today, total=total))
    if how:
        session.merge(DownloadMethod(id=1, how=how[:1000]))
    return changed


def download_chart(session: Session, project_id: int) -> Chart:
    """Return the downloads of the last days; days before the first count are left out."""
    since = now().date() - timedelta(days=DAYS)
    query = select(DownloadDay).where(DownloadDay.project_id == project_id, DownloadDay.day >= since)
    rows = list(session.scalars(query.order_by(DownloadDay.day)))
    daily = [(later.day, max(0, later.total - earlier.total)) for earlier, later in pairwise(rows)]
    if rows:
        daily.insert(0, (rows[0].day, rows[0].total if len(rows) == 1 else 0))
    highest = max((number for _day, number in daily), default=0) or 1
    first = DAYS - len(daily)
    bars = [
        Bar(day, number, (first + at) * STEP, max(1, round(HEIGHT * number / highest)))
        for at, (day, number) in enumerate(daily)
    ]
    method = session.get(DownloadMethod, 1)
    return Chart(
        bars[-DAYS:], method.how if method else "Files fetched from the index, as its own log counts them."
    )
