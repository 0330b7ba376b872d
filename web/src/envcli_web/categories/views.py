"""Pages of the categories."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from envcli_web.catalog.views import listing_of
from envcli_web.categories import services
from envcli_web.database import db

blueprint = Blueprint("categories", __name__)


@blueprint.get("/categories")
def index() -> ResponseReturnValue:
    """Show all categories."""
    return render_template("categories/index.html", shelves=services.list_shelves(db.session))


@blueprint.get("/categories/<slug>")
def show(slug: str) -> ResponseReturnValue:
    """Show the plugins of one category."""
    category = services.find_category(db.session, slug)
    return render_template("catalog/list.html", listing=listing_of(request.args, slug), category=category)
