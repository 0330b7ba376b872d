"""The two full-text engines: SQLite's FTS5 and PostgreSQL's tsvector."""

import re
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.orm import Session

from envcli_web.catalog.models import Project

MAX_WORDS = 8
WORD = re.compile(r"\w+")


def split_words(query: str) -> list[str]:
    """Return the words of a query, in lower case, at most ``MAX_WORDS``: nothing else reaches an engine's syntax."""
    return [word.lower()[:60] for word in WORD.findall(query.replace("_", " "))][:MAX_WORDS]


class SearchBackend(Protocol):
    """Keeps one row for each project and finds rows whose words begin with all words of a query."""

    def put(self, session: Session, project: Project) -> None:
        """Write or replace the row of ``project``."""

    def remove(self, session: Session, rank: int) -> None:
        """Delete the row at place ``rank``."""

    def clear(self, session: Session) -> None:
        """Delete all rows."""

    def find(self, session: Session, words: list[str], *, names_only: bool, limit: int) -> list[int]:
        """Return the places of at most ``limit`` matching projects, most popular first."""


def _name_words(project: Project) -> str:
    return " ".join(split_words(project.name.replace("-", " ")))


class Fts5Backend:
    """SQLite: an FTS5 table whose rowid is the place by popularity."""

    def put(self, session: Session, project: Project) -> None:
        """Write or replace the row of ``project``."""
        self.remove(session, project.search_rank)
        statement = text("INSERT INTO plugin_search(rowid, name, body) VALUES (:rank, :name, :body)")
        body = f"{project.summary} {project.keywords} {project.publisher_name}"
        session.execute(statement, {"rank": project.search_rank, "name": _name_words(project), "body": body})

    def remove(self, session: Session, rank: int) -> None:
        """Delete the row at place ``rank``."""
        session.execute(text("DELETE FROM plugin_search WHERE rowid = :rank"), {"rank": rank})

    def clear(self, session: Session) -> None:
        """Delete all rows."""
        session.execute(text("DELETE FROM plugin_search"))

    def find(self, session: Session, words: list[str], *, names_only: bool, limit: int) -> list[int]:
        """Return the places of matching projects. The words are quoted, so that none is FTS5 syntax."""
        match = " AND ".join(f'"{word}"*' for word in words)
        scope = f"name : ({match})" if names_only else match
        statement = text(
            "SELECT rowid FROM plugin_search WHERE plugin_search MATCH :match ORDER BY rowid LIMIT :limit"
        )
        return [int(row[0]) for row in session.execute(statement, {"match": scope, "limit": limit})]


class TsvectorBackend:
    """PostgreSQL: a table of tsvector columns with GIN indexes."""

    def put(self, session: Session, project: Project) -> None:
        """Write or replace the row of ``project``."""
        self.remove(session, project.search_rank)
        statement = text(
            "INSERT INTO plugin_search(place, name, body) VALUES"
            " (:rank, to_tsvector('simple', :name), to_tsvector('simple', :body))"
        )
        body = f"{_name_words(project)} {project.summary} {project.keywords} {project.publisher_name}"
        session.execute(statement, {"rank": project.search_rank, "name": _name_words(project), "body": body})

    def remove(self, session: Session, rank: int) -> None:
        """Delete the row at place ``rank``."""
        session.execute(text("DELETE FROM plugin_search WHERE place = :rank"), {"rank": rank})

    def clear(self, session: Session) -> None:
        """Delete all rows."""
        session.execute(text("DELETE FROM plugin_search"))

    def find(self, session: Session, words: list[str], *, names_only: bool, limit: int) -> list[int]:
        """Return the places of matching projects. Words hold letters and digits only, so that none is syntax."""
        match = " & ".join(f"{word}:*" for word in words)
        by_name = "SELECT place FROM plugin_search WHERE name @@ to_tsquery('simple', :match)"
        by_all = "SELECT place FROM plugin_search WHERE body @@ to_tsquery('simple', :match)"
        statement = text(f"{by_name if names_only else by_all} ORDER BY place LIMIT :limit")
        return [int(row[0]) for row in session.execute(statement, {"match": match, "limit": limit})]


def backend_for(session: Session) -> SearchBackend:
    """Return the engine of the session's database."""
    return Fts5Backend() if session.get_bind().dialect.name == "sqlite" else TsvectorBackend()
