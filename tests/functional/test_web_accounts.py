"""People on the site: accounts, publishers, tokens, identities."""

import base64
import hashlib
import json
import secrets
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from common.site import PASSWORD, URL, Site, SiteClient
from envcli_web.accounts.passwords import MINIMUM_LENGTH
from joserfc import jwt
from joserfc.jwk import KeySet
from sigstore.oidc import IdentityToken

pytest_plugins = ("common.site_fixtures",)

EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "audience": "sigstore",
}


def test_sign_up_sign_out_and_sign_in(browser: SiteClient) -> None:
    browser.sign_up("Ada")
    assert "Ada" in browser.get("/account").text
    assert browser.post("/account/sign-out", "/account").status_code == 302
    assert browser.get("/account").status_code == 302
    answer = browser.sign_in("ada", next="/portal")
    assert (answer.status_code, answer.headers["location"]) == (302, "/portal")
    assert browser.get("/account").status_code == 200


@pytest.mark.parametrize(
    ("name", "password", "complaint"),
    [
        ("ab", PASSWORD, "between 3 and 40"),
        ("-ada-", PASSWORD, "starts and ends with a letter"),
        ("admin", PASSWORD, "reserved"),
        ("ada", "short", "between 12"),
        ("ada", "aaaaaaaaaaaaaaa", "repeats"),
        ("adalovelace", "AdaLovelace-1815", "contains the user name"),
        ("ada", "Password1234", "most common"),
        ("ada", "qwertyuiop 123", "most common"),
        ("ada", "1Q2w3e4R5t6y", "most common"),
    ],
)
def test_a_bad_sign_up_says_why(browser: SiteClient, name: str, password: str, complaint: str) -> None:
    answer = browser.post("/account/sign-up", username=name, password=password)
    assert answer.status_code == 400
    assert complaint in answer.text
    assert browser.get("/account").status_code == 302


def test_a_common_password_is_refused_at_a_change_too(browser: SiteClient) -> None:
    browser.sign_up()
    answer = browser.post(
        "/account/password", "/account", current=PASSWORD, new="password12345", again="password12345"
    )
    assert answer.status_code == 400
    assert "most common" in answer.text


def test_the_list_of_common_passwords_holds_only_what_length_lets_through() -> None:
    listed = (files("envcli_web.accounts") / "common_passwords.txt").read_text().split()
    assert 100 < len(listed) == len(set(listed)) <= 200
    assert all(len(one) >= MINIMUM_LENGTH and len(set(one)) >= 5 and one == one.casefold() for one in listed)


def test_pages_name_commands_that_can_be_run_as_they_stand(site: Site, browser: SiteClient) -> None:
    browser.sign_up()
    assert "envcli-web admin-code --data DIR/web" in browser.get("/admin/claim").text
    page = browser.get("/portal").text
    assert f"envcli index add {site.config.index_url} --root-sha256 " in page
    assert "envcli login" in page
    assert f"{site.config.upload_url}/" in page


def test_a_taken_name_is_refused_in_any_letter_case(site: Site) -> None:
    site.client().sign_up("ada")
    answer = site.client().post("/account/sign-up", username="ADA", password=PASSWORD)
    assert answer.status_code == 409
    assert "taken" in answer.text


def test_a_new_password_ends_other_sessions(site: Site, browser: SiteClient) -> None:
    browser.sign_up()
    other = site.client()
    assert other.sign_in().status_code == 302
    new = "an entirely new sentence"
    answer = browser.post("/account/password", "/account", current=PASSWORD, new=new, again=new)
    assert answer.status_code == 302
    assert browser.get("/account").status_code == 200
    assert other.get("/account").status_code == 302
    assert other.sign_in().status_code == 401
    assert other.sign_in(password=new).status_code == 302


def test_a_wrong_present_password_changes_nothing(site: Site, browser: SiteClient) -> None:
    browser.sign_up()
    answer = browser.post(
        "/account/password", "/account", current="wrong", new="x" * 6 + "abcdefgh", again="x" * 6 + "abcdefgh"
    )
    assert answer.status_code == 400
    assert site.client().sign_in().status_code == 302


def test_a_token_becomes_an_identity_that_sigstore_reads(site: Site, browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    token = browser.create_token(publisher)
    answer = site.client().http.post("/oauth/token", data={**EXCHANGE, "subject_token": token})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    identity = IdentityToken(answer.json()["access_token"])
    assert identity.identity == f"{URL}/publishers/{publisher}"
    assert identity.issuer == URL
    assert answer.json()["expires_in"] <= 600
    assert browser.get(urlsplit(identity.identity).path).status_code == 200


def test_tokens_follow_the_published_keys(browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    token = browser.create_token(publisher)
    keys = KeySet.import_key_set(browser.get("/.well-known/jwks.json").json())
    decoded = jwt.decode(token.removeprefix("envcli-"), keys, algorithms=["ES256"])
    assert decoded.header["typ"] == "envcli-api+jwt"
    assert decoded.claims["aud"] == "envcli-index"
    assert decoded.claims["iss"] == URL
    assert decoded.claims["publisher"] == publisher
    assert decoded.claims["scope"] == ["upload", "receipt", "publish-status"]
    assert not any("d" in key for key in browser.get("/.well-known/jwks.json").json()["keys"])


def test_a_revoked_token_stands_on_the_signed_list(site: Site, browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    token = browser.create_token(publisher)
    keys = KeySet.import_key_set(browser.get("/.well-known/jwks.json").json())
    jti = jwt.decode(token.removeprefix("envcli-"), keys).claims["jti"]

    def revoked() -> list[str]:
        listed = jwt.decode(browser.get("/tokens/revoked.json").json()["jwt"], keys, algorithms=["ES256"])
        assert listed.claims["iss"] == URL
        return list(listed.claims["revoked"])

    assert revoked() == []
    assert browser.post(f"/account/tokens/{jti}/revoke", "/account/tokens").status_code == 302
    assert revoked() == [jti]
    answer = site.client().http.post("/oauth/token", data={**EXCHANGE, "subject_token": token})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_somebody_elses_token_cannot_be_revoked(site: Site, browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    token = browser.create_token(publisher)
    payload = token.split(".")[1]
    jti = json.loads(base64.urlsafe_b64decode(payload + "==="))["jti"]
    eve = site.client().sign_up("eve")
    eve.create_token()
    assert eve.post(f"/account/tokens/{jti}/revoke", "/account/tokens").status_code == 404


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _authorize(browser: SiteClient, publisher: str, verifier: str, **changes: str) -> httpx.Response:
    query = {
        "response_type": "code",
        "client_id": "sigstore",
        "client_secret": "",
        "scope": "openid email",
        "redirect_uri": "http://localhost:50123/auth/callback",
        "code_challenge": _challenge(verifier),
        "code_challenge_method": "S256",
        "state": "s-1",
        "nonce": "n-1",
    } | changes
    path = f"/oauth/authorize?{httpx.QueryParams(query)}"
    page = browser.get(path)
    if page.status_code != 200:
        return page
    assert "http://localhost:50123" in page.headers["content-security-policy"]
    return browser.post(path, path, publisher=publisher, answer="allow")


def test_a_local_tool_signs_in_with_a_code_and_pkce(site: Site, browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    verifier = secrets.token_urlsafe(48)
    answer = _authorize(browser, publisher, verifier)
    assert answer.status_code == 302, answer.text
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert back["state"] == ["s-1"]
    form = {
        "grant_type": "authorization_code",
        "redirect_uri": "http://localhost:50123/auth/callback",
        "code": back["code"][0],
        "code_verifier": verifier,
    }
    tool = site.client().http
    done = tool.post("/oauth/token", data=form, auth=("sigstore", ""))
    assert done.status_code == 200, done.text
    assert IdentityToken(done.json()["access_token"]).identity.endswith(publisher)
    again = tool.post("/oauth/token", data=form, auth=("sigstore", ""))
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("wrong", [{"code_verifier": "w" * 43}, {"redirect_uri": "http://localhost:1/other"}])
def test_a_stolen_code_is_worth_nothing(site: Site, browser: SiteClient, wrong: dict[str, str]) -> None:
    publisher = browser.sign_up().create_publisher()
    verifier = secrets.token_urlsafe(48)
    location = _authorize(browser, publisher, verifier).headers["location"]
    form = {
        "grant_type": "authorization_code",
        "redirect_uri": "http://localhost:50123/auth/callback",
        "code": parse_qs(urlsplit(location).query)["code"][0],
        "code_verifier": verifier,
    }
    tool = site.client().http
    assert tool.post("/oauth/token", data=form | wrong, auth=("sigstore", "")).status_code == 400
    assert tool.post("/oauth/token", data=form, auth=("sigstore", "")).status_code == 400, (
        "a failed try uses it up"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example/cb"},
        {"redirect_uri": "http://localhost.evil.example/cb"},
        {"redirect_uri": "http://localhost@evil.example/cb"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"client_id": "other"},
        {"response_type": "token"},
    ],
)
def test_a_code_goes_to_nobody_else(browser: SiteClient, changes: dict[str, str]) -> None:
    publisher = browser.sign_up().create_publisher()
    answer = _authorize(browser, publisher, secrets.token_urlsafe(48), **changes)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_a_code_for_somebody_elses_publisher_is_refused(site: Site, browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    eve = site.client().sign_up("eve")
    eve.create_publisher("Eve's tools")
    assert _authorize(eve, publisher, secrets.token_urlsafe(48)).status_code == 404


def test_a_new_token_stands_in_the_list_at_once(browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    page = browser.post("/account/tokens", publisher=publisher, label="for CI", days="7").text
    assert page.count("for CI") >= 2
    assert "Revoke for CI" in page
    assert browser.get("/account/tokens").text.count("envcli-ey") == 0, "its text is shown once"
