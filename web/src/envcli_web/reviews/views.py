"""Writing a review."""

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from envcli_web.accounts.sessions import login_required, signed_in_account
from envcli_web.catalog import services as catalog
from envcli_web.catalog.views import plugin_answer
from envcli_web.database import write
from envcli_web.errors import WebError
from envcli_web.ratelimit import limiter
from envcli_web.reviews import services
from envcli_web.reviews.forms import ReviewForm

blueprint = Blueprint("reviews", __name__)


@blueprint.post("/plugins/<name>/review")
@limiter.limit("20/hour")
@login_required
def save(name: str) -> ResponseReturnValue:
    """Save the review of the signed-in person."""
    form = ReviewForm()
    if not form.validate_on_submit():
        return plugin_answer(name, form=form, status=400)
    try:
        with write() as session:
            project = catalog.find_project(session, name)
            services.save_review(session, project, signed_in_account(), form.stars.data, form.body.data or "")
    except WebError as error:
        return plugin_answer(name, form=form, problem=str(error), status=error.status)
    flash("Thank you! Your review is saved.", "success")
    return redirect(url_for("catalog.plugin", name=name, _anchor="reviews"))
