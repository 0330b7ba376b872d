"""Putting search results into order, and keeping the search tables in step with the projects."""

import math

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from envcli_web.catalog.models import Project
from envcli_web.catalog.search.backends import backend_for, split_words
from envcli_web.catalog.search.typos import find_misspelled, plain_name, put_spellings

CANDIDATES = 300
FEW = 3


def _score(project: Project, words: list[str]) -> float:
    name, query = plain_name(project.name), "".join(words)
    parts = set(project.name.casefold().split("-"))
    score = math.log10(1 + project.downloads_30) + project.rating_order
    score += 100.0 if name == query else 0.0
    score += 40.0 if name.startswith(query) else 0.0
    score += 20.0 * sum(word in parts for word in words) / len(words)
    return score + 10.0 * sum(word in project.name.casefold() for word in words) / len(words)


def find_projects(session: Session, query: str) -> list[Project]:
    """Return the listed projects that match ``query``, best first.

    Matches of the name come before matches elsewhere; where there are hardly any, names that are one letter off are
    added.
    """
    words = split_words(query)
    if not words:
        return []
    backend = backend_for(session)
    ranks = backend.find(session, words, names_only=True, limit=CANDIDATES)
    ranks += backend.find(session, words, names_only=False, limit=CANDIDATES)
    selected = select(Project).where(Project.search_rank.in_(set(ranks)), Project.latest.is_not(None))
    projects = sorted(session.scalars(selected), key=lambda project: (-_score(project, words), project.name))
    if len(projects) < FEW:
        known = {project.id for project in projects}
        close = find_misspelled(session, query, CANDIDATES)
        projects += [project for project in close if project.id not in known]
    return projects


def next_rank(session: Session) -> int:
    """Return a place behind all others, for a new project."""
    return int(session.scalar(select(func.max(Project.search_rank))) or 0) + 1


def put_into_index(session: Session, project: Project) -> None:
    """Write one project into the search tables."""
    backend_for(session).put(session, project)
    put_spellings(session, project)


def remove_from_index(session: Session, project: Project) -> None:
    """Take one project out of the full-text table; its spellings go with its row."""
    backend_for(session).remove(session, project.search_rank)


def reindex(session: Session) -> int:
    """Give every project its place by popularity anew, rewrite the search table, and return the number of projects."""
    backend = backend_for(session)
    backend.clear(session)
    order = (Project.downloads_30.desc(), Project.rating_order.desc(), Project.name)
    projects = list(session.scalars(select(Project).order_by(*order)))
    offset = next_rank(session) + len(projects)
    for place, project in enumerate(projects):
        project.search_rank = offset + place  # the places are unique at every moment
    session.flush()
    for place, project in enumerate(projects, start=1):
        project.search_rank = place
    session.flush()
    for project in projects:
        backend.put(session, project)
    return len(projects)
