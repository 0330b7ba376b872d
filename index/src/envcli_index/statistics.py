"""Download counts: spool files rolled up per project and day, and the page that says how was counted."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, Engine, func, insert, select, update

from envcli_index import database as db
from envcli_index.config import IndexConfig
from envcli_index.database import read, write
from envcli_index.downloads import count_by_day
from envcli_index.public.tree import PublicFiles

PAGE = "stats/downloads.json"
KEEP_DAYS = 2
HOW = (
    "Downloads of wheels, one per file, client and day. A client is a hash of address and user agent under a salt "
    "that is forgotten every day; installs from caches and mirrors are not seen."
)


def roll_up(engine: Engine, config: IndexConfig, files: PublicFiles) -> None:
    """Count what the spool files hold, keep it per day, write the page, and delete spool files that are done.

    Counting a day again gives the same number or a higher one, so nothing is counted twice after a crash.
    """
    counted = count_by_day(config.downloads) if config.downloads.is_dir() else {}
    if counted:
        with write(engine) as connection:
            owners = _owners(connection)
            for day, by_file in counted.items():
                _store_day(connection, day, by_file, owners)
    today = datetime.now(UTC).date()
    with read(engine) as connection:
        page = _page(connection, today)
    old = json.loads(files.read(PAGE) or b"{}")
    if old.get("projects") != page["projects"]:
        files.put(PAGE, json.dumps(page, sort_keys=True).encode())
    _delete_counted(config, today)


def _owners(connection: Connection) -> dict[str, str]:
    plugins = select(db.file.c.sha256, db.project.c.name).select_from(
        db.file.join(db.release, db.release.c.id == db.file.c.release).join(
            db.project, db.project.c.uuid == db.release.c.project
        )
    )
    dependencies = select(db.dependency.c.sha256, db.dependency.c.name)
    found = [*connection.execute(dependencies), *connection.execute(plugins)]
    return {row.sha256: row.name for row in found}


def _store_day(connection: Connection, day: date, by_file: Counter[str], owners: dict[str, str]) -> None:
    totals: Counter[str] = Counter()
    for sha256, count in by_file.items():
        if sha256 in owners:
            totals[owners[sha256]] += count
    table = db.download_day
    for name, count in totals.items():
        where = (table.c.project == name, table.c.day == day.isoformat())
        known = connection.execute(select(table.c.count).where(*where)).scalar()
        if known is None:
            connection.execute(insert(table).values(project=name, day=day.isoformat(), count=count))
        elif count > known:
            connection.execute(update(table).where(*where).values(count=count))


def _page(connection: Connection, today: date) -> dict[str, object]:
    table = db.download_day
    since = (today - timedelta(days=30)).isoformat()
    total = select(table.c.project, func.sum(table.c.count)).group_by(table.c.project)
    recent = dict(connection.execute(total.where(table.c.day > since)).tuples().all())
    projects = {
        name: {"total": int(count), "last_30_days": int(recent.get(name, 0)), "how": HOW}
        for name, count in connection.execute(total).tuples().all()
    }
    return {"generated": datetime.now(UTC).isoformat(timespec="seconds"), "projects": projects}


def _delete_counted(config: IndexConfig, today: date) -> None:
    for spool in config.downloads.glob("downloads-*.jsonl"):
        day = date.fromisoformat("-".join(spool.stem.split("-")[1:4]))
        if today - day > timedelta(days=KEEP_DAYS):
            spool.unlink()
