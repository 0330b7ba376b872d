"""Pages for administrators."""

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from envcli_web.accounts import services as accounts
from envcli_web.accounts.forms import ButtonForm
from envcli_web.accounts.sessions import admin_required, login_required, signed_in_account
from envcli_web.admin import services
from envcli_web.admin.forms import ClaimForm
from envcli_web.catalog import services as catalog
from envcli_web.database import db, write
from envcli_web.errors import WebError
from envcli_web.jobs import queue
from envcli_web.ratelimit import limiter

blueprint = Blueprint("admin", __name__)
NEW_CODE = "envcli-web admin-code --data DIR/web"  # visitors need not know where the data lie


@blueprint.route("/admin/claim", methods=["GET", "POST"])
@limiter.limit("10/hour", methods=["POST"])
@login_required
def claim() -> ResponseReturnValue:
    """Make the signed-in account an administrator by the one-time code."""
    form = ClaimForm()
    if not form.validate_on_submit():
        return _claim_page(form), 400 if form.is_submitted() else 200
    data = current_app.extensions["envcli_config"].data
    try:
        with write() as session:
            services.claim(session, signed_in_account(), form.code.data, data)
    except WebError as error:
        return _claim_page(form, str(error)), error.status
    flash("You are an administrator now. The code cannot be used again.", "success")
    return redirect(url_for("admin.overview"))


def _claim_page(form: ClaimForm, problem: str | None = None) -> str:
    return render_template("admin/claim.html", form=form, problem=problem, command=NEW_CODE)


@blueprint.get("/admin")
@admin_required
def overview() -> ResponseReturnValue:
    """Show accounts, jobs and the audit record."""
    return render_template(
        "admin/overview.html",
        accounts=accounts.list_accounts(db.session),
        audit=services.list_audit(db.session),
        jobs=queue.list_jobs(db.session),
        refreshed=catalog.last_refresh(db.session),
        button=ButtonForm(),
    )


@blueprint.post("/admin/accounts/<uuid:uuid>")
@admin_required
def change_account(uuid: object) -> ResponseReturnValue:
    """Lock or unlock an account."""
    if not ButtonForm().validate_on_submit():
        raise WebError("The form was too old", remedy="Go back, reload the page and try again")
    with write() as session:
        wanted = request.form.get("action") == "disable"
        account = services.set_disabled(session, signed_in_account(), str(uuid), disabled=wanted)
    flash(f"{account.username} is {'locked' if account.disabled else 'unlocked'}.", "success")
    return redirect(url_for("admin.overview"))
