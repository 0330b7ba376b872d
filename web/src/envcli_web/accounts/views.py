"""Pages of the accounts feature."""

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from envcli_web.accounts import services, sessions
from envcli_web.accounts.errors import SignInError
from envcli_web.accounts.forms import ButtonForm, ChangePasswordForm, SignInForm, SignUpForm
from envcli_web.database import db, write
from envcli_web.errors import WebError
from envcli_web.ratelimit import form_name, limiter
from envcli_web.security import is_local_path

blueprint = Blueprint("accounts", __name__)


def _onward(target: str | None) -> str:
    return target if target and is_local_path(target) else url_for("accounts.overview")


@blueprint.route("/account/sign-up", methods=["GET", "POST"])
@limiter.limit("20/hour", methods=["POST"])
def sign_up() -> ResponseReturnValue:
    """Show the sign-up form, or create the account and sign it in."""
    form = SignUpForm()
    if not form.validate_on_submit():
        return render_template("accounts/sign_up.html", form=form), 400 if form.is_submitted() else 200
    try:
        account = services.prepare_account(form.username.data.strip(), form.password.data)
        with write() as session:
            services.add_account(session, account)
    except WebError as error:
        return render_template("accounts/sign_up.html", form=form, problem=str(error)), error.status
    response = sessions.start(make_response(redirect(url_for("accounts.overview"))), account)
    flash("Welcome! Your account is ready.", "success")
    return response


@blueprint.route("/account/sign-in", methods=["GET", "POST"])
@limiter.limit("30/minute", methods=["POST"])
@limiter.limit("10/minute;60/hour", methods=["POST"], key_func=form_name)
def sign_in() -> ResponseReturnValue:
    """Show the sign-in form, or sign in and go where the visitor wanted to."""
    form = SignInForm(next=request.args.get("next", ""))
    if not form.validate_on_submit():
        return render_template("accounts/sign_in.html", form=form), 400 if form.is_submitted() else 200
    try:
        account = services.authenticate(db.session, form.username.data, form.password.data)
    except SignInError as error:
        return render_template("accounts/sign_in.html", form=form, problem=str(error)), error.status
    return sessions.start(make_response(redirect(_onward(form.next.data))), account)


@blueprint.post("/account/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the present session."""
    if not ButtonForm().validate_on_submit():
        raise WebError("The form was too old", remedy="Go back, reload the page and try again")
    return sessions.finish(make_response(redirect(url_for("catalog.home"))))


@blueprint.get("/account")
@sessions.login_required
def overview() -> ResponseReturnValue:
    """Show the account page."""
    account = sessions.signed_in_account()
    browsers = services.list_sessions(db.session, account)
    return render_template(
        "accounts/overview.html", browsers=browsers, form=ChangePasswordForm(), button=ButtonForm()
    )


@blueprint.post("/account/password")
@limiter.limit("10/minute")
@sessions.login_required
def change_password() -> ResponseReturnValue:
    """Set a new password; every other browser is signed out."""
    account = sessions.signed_in_account()
    form = ChangePasswordForm()
    problem = None
    if form.validate_on_submit():
        try:
            password_hash = services.new_password_hash(account, form.current.data, form.new.data)
            with write() as session:
                services.set_password(session, account.uuid, password_hash)
        except WebError as error:
            problem = str(error)
        else:
            flash("The password was changed. All other browsers are signed out.", "success")
            return sessions.start(make_response(redirect(url_for("accounts.overview"))), account)
    browsers = services.list_sessions(db.session, account)
    page = render_template(
        "accounts/overview.html", browsers=browsers, form=form, button=ButtonForm(), problem=problem
    )
    return page, 400


@blueprint.post("/account/sign-out-everywhere")
@sessions.login_required
def sign_out_everywhere() -> ResponseReturnValue:
    """End every session of the account."""
    if not ButtonForm().validate_on_submit():
        raise WebError("The form was too old", remedy="Go back, reload the page and try again")
    with write() as session:
        services.close_all_sessions(session, sessions.signed_in_account())
    return sessions.finish(make_response(redirect(url_for("accounts.sign_in"))))
