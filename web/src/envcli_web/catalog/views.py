"""Pages of the catalog."""

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from envcli_web.accounts.forms import ButtonForm
from envcli_web.accounts.sessions import current_account
from envcli_web.analytics import services as analytics
from envcli_web.catalog import services
from envcli_web.catalog.readme import render_readme
from envcli_web.categories import services as categories
from envcli_web.database import db
from envcli_web.reviews import services as reviews
from envcli_web.reviews.forms import ReviewForm

blueprint = Blueprint("catalog", __name__)


def listing_of(arguments: MultiDict[str, str], category: str = "") -> services.Listing:
    """Return the page of plugins that the query string asks for."""
    return services.list_projects(
        db.session,
        query=arguments.get("q", ""),
        sort=arguments.get("sort", ""),
        plugin_type=arguments.get("type", ""),
        category=category or arguments.get("category", ""),
        page=arguments.get("page", 1, type=int),
    )


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Show the search field, the categories and some plugins."""
    return render_template(
        "catalog/home.html",
        shelves=categories.list_shelves(db.session),
        popular=services.list_projects(db.session).projects[:6],
        newest=services.list_projects(db.session, sort="newest").projects[:6],
    )


@blueprint.get("/plugins")
def plugins() -> ResponseReturnValue:
    """List and search plugins."""
    return render_template(
        "catalog/list.html",
        listing=listing_of(request.args),
        category=None,
        shelves=categories.list_shelves(db.session),
        types=services.list_types(db.session),
    )


@blueprint.get("/plugins/<name>")
@blueprint.get("/plugins/<name>/<version>")
def plugin(name: str, version: str | None = None) -> ResponseReturnValue:
    """Show one plugin."""
    return plugin_answer(name, version)


def plugin_answer(
    name: str,
    version: str | None = None,
    *,
    form: ReviewForm | None = None,
    problem: str | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    """Return a plugin's page, with the review form as it was filled in."""
    page = services.plugin_page(db.session, name, version)
    record = page.project.record
    account = current_account()
    standing = reviews.standing_of(db.session, page.project, account)
    html = render_template(
        "catalog/plugin.html",
        page=page,
        project=page.project,
        readme=render_readme(str(record.get("description") or ""), record.get("description_content_type")),
        index_url=current_app.extensions["envcli_config"].index_url,
        ratings=reviews.summary_of(db.session, page.project),
        reviews=reviews.list_reviews(db.session, page.project),
        standing=standing,
        form=form or ReviewForm(obj=standing.review),
        button=ButtonForm(),
        chart=analytics.download_chart(db.session, page.project.id),
        problem=problem,
    )
    return html, status
