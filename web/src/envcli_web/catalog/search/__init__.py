"""Full-text search over the catalog: one interface, one implementation for each database.

The row id of the search table is the project's place by popularity. A search therefore reads matches in order of
popularity and may stop after a few hundred; ranking functions of the databases would visit every match. The few
candidates are scored in Python.
"""

from envcli_web.catalog.search.backends import SearchBackend, backend_for, split_words
from envcli_web.catalog.search.ranking import (
    find_projects,
    next_rank,
    put_into_index,
    reindex,
    remove_from_index,
)

__all__ = [
    "SearchBackend",
    "backend_for",
    "find_projects",
    "next_rank",
    "put_into_index",
    "reindex",
    "remove_from_index",
    "split_words",
]
