"""Reading categories and filing projects under them."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from envcli_web.catalog.models import Project, ProjectCategory
from envcli_web.categories.models import Category
from envcli_web.errors import NotFoundError

OTHER = "other"


@dataclass(frozen=True)
class Shelf:
    """A category and how many listed plugins are in it."""

    slug: str
    title: str
    summary: str
    plugins: int


def list_shelves(session: Session) -> list[Shelf]:
    """Return all categories in their order, with the number of plugins in each."""
    counted = (
        select(Category.slug, Category.title, Category.summary, func.count(Project.id))
        .outerjoin(ProjectCategory, ProjectCategory.category_slug == Category.slug)
        .outerjoin(Project, (Project.id == ProjectCategory.project_id) & Project.latest.is_not(None))
        .group_by(Category.slug, Category.title, Category.summary, Category.place)
        .order_by(Category.place)
    )
    return [Shelf(*row) for row in session.execute(counted)]


def find_category(session: Session, slug: str) -> Category:
    """Return the category ``slug``.

    Raises:
        NotFoundError: there is none.
    """
    found = session.get(Category, slug)
    if found is None:
        raise NotFoundError("There is no such category")
    return found


def file_under(
    session: Session, declared: Iterable[str], keywords: Iterable[str], plugin_type: str
) -> list[str]:
    """Return the categories for a project: those it declares, else those that its keywords or type match.

    Args:
        session: a session.
        declared: category slugs from the plugin's metadata; unknown ones are ignored.
        keywords: the plugin's keywords.
        plugin_type: the manifest's type.
    """
    categories = list(session.scalars(select(Category).order_by(Category.place)))
    chosen = [category.slug for category in categories if category.slug in set(declared)]
    if chosen:
        return chosen
    words = {word.casefold() for word in keywords} | {plugin_type.casefold()}
    matching = [category.slug for category in categories if words & set(category.words.split())]
    return matching or [OTHER]
