"""Finding names in spite of one wrong letter: every name is stored with each of its letters left out.

A query is compared in the same way, so that one insertion, deletion, replacement or swap meets in a common form.
Source: the SymSpell method, https://github.com/wolfgarbe/SymSpell.
"""

import zlib
from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from envcli_web.catalog.models import Project, SpellingDelete

PREFIX = "envcli-plugin-"
MIN_LENGTH = 4
MAX_LENGTH = 40


def plain_name(name: str) -> str:
    """Return a project's name without the prefix that all plugins share, letters and digits only."""
    return "".join(filter(str.isalnum, name.casefold().removeprefix(PREFIX)))


def _forms(word: str) -> set[str]:
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def _hashes(word: str) -> set[int]:
    return {zlib.crc32(form.encode()) for form in _forms(word)}


def _words(name: str) -> set[str]:
    parts = name.casefold().removeprefix(PREFIX).split("-")
    return {word[:MAX_LENGTH] for word in (plain_name(name), *parts) if len(word) >= MIN_LENGTH}


def put_spellings(session: Session, project: Project) -> None:
    """Store the misspellings of a project's name and of its parts."""
    session.execute(delete(SpellingDelete).where(SpellingDelete.project_id == project.id))
    hashes = set().union(*(_hashes(word) for word in _words(project.name)))
    session.add_all(SpellingDelete(hash=value, project_id=project.id) for value in hashes)


def is_one_edit_apart(left: str, right: str) -> bool:
    """Return whether at most one letter was added, left out, replaced or swapped with its neighbour."""
    if abs(len(left) - len(right)) > 1:
        return False
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    a, b = left[start:], right[start:]
    swapped = len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0] and a[2:] == b[2:]
    return a == b or swapped or a[1:] == b[1:] or a[1:] == b or a == b[1:]


def find_misspelled(session: Session, query: str, limit: int) -> list[Project]:
    """Return projects whose name, or a part of it, is one edit away from ``query``, most popular first."""
    word = plain_name(query)[:MAX_LENGTH]
    if len(word) < MIN_LENGTH:
        return []
    hits = select(SpellingDelete.project_id).where(SpellingDelete.hash.in_(_hashes(word)))
    query_projects = select(Project).where(Project.id.in_(hits), Project.latest.is_not(None))
    found: Iterable[Project] = session.scalars(query_projects.order_by(Project.search_rank).limit(limit * 4))
    close = [
        project for project in found if any(is_one_edit_apart(word, part) for part in _words(project.name))
    ]
    return close[:limit]
