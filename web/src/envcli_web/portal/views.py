"""Pages of the publishers' portal."""

from flask import Blueprint, current_app, flash, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms.fields.choices import SelectChoice

from envcli_web.accounts.forms import ButtonForm
from envcli_web.accounts.models import Account
from envcli_web.accounts.sessions import login_required, signed_in_account
from envcli_web.catalog import services as catalog
from envcli_web.database import db, write
from envcli_web.errors import WebError
from envcli_web.identity.services import token_issuer
from envcli_web.portal import services
from envcli_web.portal.forms import PublisherForm, TokenForm
from envcli_web.ratelimit import limiter

blueprint = Blueprint("portal", __name__)


def _token_form(account: Account) -> TokenForm:
    form = TokenForm()
    publishers = services.list_publishers(db.session, account)
    form.publisher.choices = [SelectChoice(publisher.uuid, publisher.name) for publisher in publishers]
    form.publisher.choices.append(SelectChoice("", "none (install receipts only)"))
    return form


def _overview(status: int = 200, **values: object) -> ResponseReturnValue:
    account = signed_in_account()
    publishers = services.list_publishers(db.session, account)
    page = render_template(
        "portal/overview.html",
        publishers=publishers,
        plugins={item.uuid: catalog.list_of_publisher(db.session, item.uuid) for item in publishers},
        identities={item.uuid: token_issuer().identity_of(item.uuid) for item in publishers},
        upload_url=current_app.extensions["envcli_config"].upload_url,
        **{"form": PublisherForm(formdata=None), **values},
    )
    return page, status


@blueprint.get("/portal")
@login_required
def overview() -> ResponseReturnValue:
    """Show the publishers of the account and how to publish."""
    return _overview()


@blueprint.post("/portal/publishers")
@limiter.limit("20/hour")
@login_required
def create_publisher() -> ResponseReturnValue:
    """Create a publisher."""
    form = PublisherForm()
    if not form.validate_on_submit():
        return _overview(400, form=form)
    try:
        with write() as session:
            publisher = services.create_publisher(session, signed_in_account(), form.name.data)
    except WebError as error:
        return _overview(error.status, form=form, problem=str(error))
    flash(f"The publisher {publisher.name} is ready.", "success")
    return redirect(url_for("portal.overview"))


@blueprint.get("/account/tokens")
@login_required
def tokens() -> ResponseReturnValue:
    """List the account's API tokens."""
    account = signed_in_account()
    return render_template(
        "portal/tokens.html",
        tokens=services.list_tokens(db.session, account),
        form=_token_form(account),
        button=ButtonForm(),
    )


@blueprint.post("/account/tokens")
@limiter.limit("60/hour")
@login_required
def create_token() -> ResponseReturnValue:
    """Make an API token and show it, once."""
    account = signed_in_account()
    form = _token_form(account)
    problem, issued, status = None, None, 400
    if form.validate_on_submit():
        try:
            with write() as session:
                chosen = form.publisher.data
                publisher = services.own_publisher(session, account, chosen) if chosen else None
                issued = services.issue_token(
                    session,
                    token_issuer(),
                    account,
                    publisher=publisher,
                    label=form.label.data,
                    days=int(form.days.data),
                )
            status = 201
        except WebError as error:
            problem, status = str(error), error.status
    page = render_template(
        "portal/tokens.html",
        tokens=services.list_tokens(db.session, account),
        form=form,
        button=ButtonForm(),
        issued=issued,
        problem=problem,
    )
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/account/tokens/<uuid:jti>/revoke")
@login_required
def revoke_token(jti: object) -> ResponseReturnValue:
    """End an API token."""
    if not ButtonForm().validate_on_submit():
        raise WebError("The form was too old", remedy="Go back, reload the page and try again")
    with write() as session:
        token = services.revoke_token(session, signed_in_account(), str(jti))
    flash(f"The token “{token.label}” is revoked. The index refuses it within five minutes.", "success")
    return redirect(url_for("portal.tokens"))


@blueprint.get("/publishers/<uuid:uuid>")
def publisher(uuid: object) -> ResponseReturnValue:
    """Show a publisher and its plugins. This address is the identity in its certificates."""
    found = services.find_publisher(db.session, str(uuid))
    return render_template(
        "portal/publisher.html",
        publisher=found,
        identity=token_issuer().identity_of(found.uuid),
        plugins=catalog.list_of_publisher(db.session, found.uuid),
    )
