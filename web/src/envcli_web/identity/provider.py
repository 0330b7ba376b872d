"""The grants of the provider, on Authlib's authorization server.

* Token exchange (RFC 8693): an API token of a publisher becomes an identity token for the certificate authority.
* Authorization code with PKCE (RFC 6749 §4.1, RFC 7636): a local tool such as ``sigstore sign`` asks the person in the
  browser. The tool is a public client that listens on the loopback interface (RFC 8252 §7.3).
"""

from typing import Any
from urllib.parse import urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, InvalidGrantError, InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, BaseGrant, TokenEndpointMixin
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask
from flask import request as current

from envcli_web.database import db, write
from envcli_web.errors import WebError
from envcli_web.identity import services
from envcli_web.identity.models import AuthorizationCode
from envcli_web.identity.tokens import IDENTITY_AUDIENCE, IDENTITY_LIFE

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type name
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a type name
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
SCOPES = ("openid", "email")


def is_loopback_redirect(uri: str) -> bool:
    """Return whether ``uri`` is plain http to this very machine, on any port (RFC 8252 §7.3)."""
    try:
        parts = urlsplit(uri)
        host = parts.netloc.rsplit(":", 1)[0] if parts.port is not None else parts.netloc
    except ValueError:  # a port or an address that is none
        return False
    return parts.scheme == "http" and host in LOOPBACK and not parts.fragment and uri.isprintable()


class LocalTool(ClientMixin):  # type: ignore[misc]
    """The one client: signing tools on people's own machines. It has no secret; PKCE takes its place."""

    client_id = IDENTITY_AUDIENCE

    def get_client_id(self) -> str:
        """Return the client id, which is also the audience of the tokens."""
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """Return none: the tool must say where it listens."""
        return None

    def get_allowed_scope(self, scope: str) -> str:
        """Return the known part of ``scope``."""
        return " ".join(item for item in (scope or "").split() if item in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Return whether codes may be sent to ``redirect_uri``."""
        return is_loopback_redirect(redirect_uri)

    def check_client_secret(self, client_secret: str) -> bool:  # noqa: ARG002 - the library's interface
        """Return False: there is no secret that could be right."""
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Return whether the client may identify itself in this way."""
        return method in {"none", "public_basic"} and endpoint == "token"

    def check_response_type(self, response_type: str) -> bool:
        """Return whether the response type is the code flow's."""
        return bool(response_type == "code")

    def check_grant_type(self, grant_type: str) -> bool:
        """Return whether the client may use the grant."""
        return bool(grant_type == AuthorizationCodeGrant.GRANT_TYPE)


def _query_client(client_id: str) -> LocalTool | None:
    return LocalTool() if client_id == LocalTool.client_id else None


def _authenticate_public_basic(query_client: Any, _request: OAuth2Request) -> LocalTool | None:
    """Accept HTTP Basic with an empty password: how sigstore's client names itself."""
    given = current.authorization
    if given is None or given.type != "basic" or given.password:
        return None
    client: LocalTool | None = query_client(given.username)
    return client


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    """Authorization code flow whose token is the identity token itself."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["none", "public_basic"]  # noqa: RUF012 - the library's convention

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Store the code with everything that its use is compared with."""
        data = request.payload.data
        account, publisher = request.user
        row = AuthorizationCode(
            code_sha256=services.code_digest(code),
            publisher_uuid=publisher.uuid,
            account_uuid=account.uuid,
            client_id=request.client.get_client_id(),
            redirect_uri=request.payload.redirect_uri,
            scope=request.scope,
            nonce=data.get("nonce", "")[:300],
            code_challenge=data["code_challenge"],
            code_challenge_method=data["code_challenge_method"],
        )
        with write() as session:
            session.add(row)

    def query_authorization_code(self, code: str, client: LocalTool) -> AuthorizationCode | None:
        """Take the code; a second use finds nothing."""
        with write() as session:
            return services.take_code(session, code, client.get_client_id())

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        """Do nothing: the code was removed when it was taken."""

    def authenticate_user(self, authorization_code: AuthorizationCode) -> AuthorizationCode:
        """Return who consented; the code itself names account and publisher."""
        return authorization_code

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Return the identity token, both where OpenID Connect and where sigstore's client look for it."""
        code: AuthorizationCode = self.request.authorization_code
        if not services.may_act(db.session, code.account_uuid, code.publisher_uuid):
            raise InvalidGrantError("The account may no longer act for this publisher.")
        token = services.token_issuer().sign_identity_token(code.publisher_uuid, nonce=code.nonce)
        answer = {
            "access_token": token,
            "id_token": token,
            "token_type": "Bearer",
            "expires_in": IDENTITY_LIFE,
            "scope": code.scope,
        }
        return 200, answer, self.TOKEN_RESPONSE_HEADER


class StrictCodeChallenge(CodeChallenge):  # type: ignore[misc]
    """PKCE that cannot be left out and knows S256 only."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012 - the library's convention

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Refuse a request without an S256 challenge."""
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("A 'code_challenge' with method S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)


class ExchangeGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """Token exchange: the API token is the credential, so no client has to identify itself."""

    GRANT_TYPE = EXCHANGE

    def validate_token_request(self) -> None:
        """Check the subject token and what is asked for."""
        form = self.request.form
        if form.get("subject_token_type") != ACCESS_TOKEN:
            raise InvalidRequestError(f"'subject_token_type' must be {ACCESS_TOKEN}.")
        if form.get("audience") != IDENTITY_AUDIENCE:
            raise InvalidRequestError(f"'audience' must be {IDENTITY_AUDIENCE}.")
        try:
            token = services.verify_api_token(db.session, form.get("subject_token", ""), "upload")
        except WebError as error:
            raise InvalidGrantError(error.message) from error
        if token.publisher_uuid is None or not services.may_act(
            db.session, token.account_uuid, token.publisher_uuid
        ):
            raise InvalidGrantError(
                "The token belongs to no publisher, so there is no identity to sign with."
            )
        self.request.user = token

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Return the identity token of the publisher."""
        token = services.token_issuer().sign_identity_token(self.request.user.publisher_uuid)
        answer = {
            "access_token": token,
            "issued_token_type": ID_TOKEN,
            "token_type": "N_A",
            "expires_in": IDENTITY_LIFE,
        }
        return 200, answer, self.TOKEN_RESPONSE_HEADER


def _keep_nothing(token: dict[str, Any], request: OAuth2Request) -> None:
    """Identity tokens are short-lived and not stored."""


def init_app(app: Flask) -> AuthorizationServer:
    """Create the provider's authorization server on ``app`` and return it."""
    server = AuthorizationServer(app, query_client=_query_client, save_token=_keep_nothing)
    server.register_client_auth_method("public_basic", _authenticate_public_basic)
    server.register_grant(CodeGrant, [StrictCodeChallenge(required=True)])
    server.register_grant(ExchangeGrant)
    app.extensions["envcli_oauth"] = server
    return server
