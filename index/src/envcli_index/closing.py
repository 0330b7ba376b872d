"""Joins the write path to devpi: a tween that sees every request first, and the tidying at start-up."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyramid.tweens import INGRESS
from sqlalchemy import Engine, select

from envcli_index import stages
from envcli_index.config import IndexConfig
from envcli_index.database import connect, file, read, upgrade
from envcli_index.writing import WritePath

log = logging.getLogger("envcli_index.closing")

_REGISTRY_KEY = "envcli_write_path"


def install(data: Path, pyramid_config: Any) -> None:
    """Reconcile devpi with the database and put the write path in front of devpi's views.

    Args:
        data: the index's data directory.
        pyramid_config: Pyramid's configurator while devpi builds its application.
    """
    config = IndexConfig.load(data)
    engine = connect(config)
    upgrade(engine)
    xom = pyramid_config.registry["xom"]
    drop_unrecorded(engine, xom)
    pyramid_config.registry[_REGISTRY_KEY] = WritePath(config, engine, xom)
    pyramid_config.add_tween(
        "envcli_index.closing.closing_tween_factory",
        under=INGRESS,
        over="devpi_server.views.tween_request_logging",
    )


def closing_tween_factory(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Return the tween that hands every request to the write path (Pyramid's tween protocol)."""
    write_path: WritePath = registry[_REGISTRY_KEY]

    def closing_tween(request: Any) -> Any:
        return write_path.respond(request, handler)

    return closing_tween


def drop_unrecorded(engine: Engine, xom: Any) -> None:
    """Delete staged files that no row knows.

    An upload is accepted when its row is committed, which happens after devpi stored the bytes; a process
    that dies in between leaves bytes that nobody was told about.
    """
    with read(engine) as connection:
        known = set(connection.execute(select(file.c.relpath)).scalars())
    with xom.keyfs.read_transaction():
        stray = [one.relpath for one in stages.staged_files(xom.model) if one.relpath not in known]
    if not stray:
        return
    with xom.keyfs.write_transaction():
        for path in stray:
            log.warning("dropping %s, left by an interrupted upload", path)
            stages.remove(xom.model, path)
