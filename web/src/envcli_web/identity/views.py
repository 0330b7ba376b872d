"""Endpoints of the OpenID Connect provider."""

from urllib.parse import urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from flask import Blueprint, Response, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from envcli_web.accounts.forms import ButtonForm
from envcli_web.accounts.sessions import login_required, signed_in_account
from envcli_web.database import db
from envcli_web.errors import WebError
from envcli_web.identity import services
from envcli_web.identity.keys import ALGORITHM
from envcli_web.identity.provider import EXCHANGE, SCOPES
from envcli_web.portal import services as portal
from envcli_web.ratelimit import limiter
from envcli_web.security import allow_form_target, origin_of

blueprint = Blueprint("identity", __name__)
KEYS_AGE = 300


def _server() -> AuthorizationServer:
    return current_app.extensions["envcli_oauth"]


def _public(answer: Response, seconds: int) -> Response:
    answer.headers["Cache-Control"] = f"public, max-age={seconds}"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


@blueprint.get("/.well-known/openid-configuration")
def discovery() -> ResponseReturnValue:
    """Describe the provider (OpenID Connect Discovery 1.0)."""
    base = services.token_issuer().issuer
    return _public(
        jsonify(
            issuer=base,
            authorization_endpoint=f"{base}/oauth/authorize",
            token_endpoint=f"{base}/oauth/token",
            jwks_uri=f"{base}/.well-known/jwks.json",
            response_types_supported=["code"],
            grant_types_supported=["authorization_code", EXCHANGE],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=[ALGORITHM],
            scopes_supported=list(SCOPES),
            claims_supported=["iss", "aud", "sub", "iat", "nbf", "exp", "nonce"],
            code_challenge_methods_supported=["S256"],
            token_endpoint_auth_methods_supported=["none"],
        ),
        KEYS_AGE,
    )


@blueprint.get("/.well-known/jwks.json")
def jwks() -> ResponseReturnValue:
    """Publish the provider's public keys (RFC 7517)."""
    return _public(jsonify(services.token_issuer().jwks), KEYS_AGE)


@blueprint.get("/tokens/revoked.json")
def revoked() -> ResponseReturnValue:
    """Publish the signed list of API tokens that were ended before their time."""
    text = services.token_issuer().sign_revocations(portal.list_revoked(db.session))
    return _public(jsonify(jwt=text), 0)


@blueprint.post("/oauth/token")
@limiter.limit("120/minute")
def token() -> ResponseReturnValue:
    """Exchange an API token or an authorization code for an identity token."""
    answer: Response = _server().create_token_response()
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.route("/oauth/authorize", methods=["GET", "POST"])
@login_required
def authorize() -> ResponseReturnValue:
    """Ask the signed-in person whether a local tool may sign for one of their publishers."""
    account = signed_in_account()
    server = _server()
    try:
        grant = server.get_consent_grant(end_user=account)
    except OAuth2Error as error:
        raise WebError(f"The tool asked for something wrong: {error.description or error.error}") from error
    target = grant.redirect_uri
    allow_form_target(origin_of(target))
    publishers = portal.list_publishers(db.session, account)
    form = ButtonForm()
    if not form.validate_on_submit():
        where = urlsplit(target).netloc
        return render_template("identity/authorize.html", publishers=publishers, form=form, where=where)
    granted = None
    if request.form.get("answer") == "allow":
        chosen = portal.own_publisher(db.session, account, request.form.get("publisher", ""))
        granted = (account, chosen)
    answer: Response = server.create_authorization_response(grant_user=granted, grant=grant)
    answer.headers["Cache-Control"] = "no-store"
    return answer
