"""Hostile people, pages and data against the site."""

import base64
import json
import re
import stat
import time
from pathlib import Path

import httpx
import pytest
from common.public_tree import digest_of, release
from common.site import PASSWORD, URL, Site, SiteClient
from envcli_web.admin import services as admin
from envcli_web.app import create_app
from envcli_web.config import WebConfig
from envcli_web.database import now, write
from envcli_web.errors import ConfigurationError
from envcli_web.identity.keys import load_keys
from envcli_web.identity.tokens import TokenError, TokenIssuer
from envcli_web.security import is_local_path
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

pytest_plugins = ("common.site_fixtures",)

NAME = "envcli-plugin-x"
EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "audience": "sigstore",
}


def plain(browser: SiteClient, **headers: str) -> httpx.Client:
    """The browser's cookies in a client that sends no Origin unless told."""
    return httpx.Client(
        base_url=URL, transport=browser.http._transport, cookies=dict(browser.http.cookies), headers=headers
    )


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": URL}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": URL}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://127.0.0.1:4041"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({}, False),
    ],
)
def test_only_our_own_pages_can_change_something(
    browser: SiteClient, headers: dict[str, str], allowed: bool
) -> None:
    browser.sign_up()
    token = browser.csrf("/portal")
    answer = plain(browser, **headers).post("/portal/publishers", data={"csrf_token": token, "name": "Ada's"})
    assert (answer.status_code == 302) == allowed
    assert ("Ada&#39;s" in browser.get("/portal").text) == allowed


@pytest.mark.parametrize("token", ["", "x", "another session's"])
def test_a_form_without_its_own_token_changes_nothing(site: Site, browser: SiteClient, token: str) -> None:
    browser.sign_up()
    if token == "another session's":
        token = site.client().sign_up("eve").csrf("/portal")
    answer = browser.http.post("/portal/publishers", data={"csrf_token": token, "name": "Ada's"})
    assert answer.status_code == 400
    assert "Ada&#39;s" not in browser.get("/portal").text


@pytest.mark.parametrize(
    "path", ["/", "/plugins", "/account/sign-in", "/nope", "/healthz", "/api/v1/plugins", "/static/site.css"]
)
def test_every_answer_carries_the_security_headers(browser: SiteClient, path: str) -> None:
    headers = browser.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "script-src" not in policy, "nothing may run"
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers


def test_pages_hold_no_script_and_no_inline_style(site: Site, browser: SiteClient) -> None:
    site.tree.add(NAME)
    site.refresh()
    browser.sign_up().create_publisher()
    for path in (
        "/",
        "/plugins",
        f"/plugins/{NAME}",
        "/account",
        "/portal",
        "/account/tokens",
        "/about/ratings",
    ):
        page = browser.get(path)
        assert page.status_code == 200
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page.text), path


def test_cookies_are_out_of_reach_of_scripts(browser: SiteClient) -> None:
    answer = browser.post("/account/sign-up", username="ada", password=PASSWORD)
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2
    assert all("HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in cookies)


def test_on_https_cookies_are_secure_and_bound_to_the_host(site: Site) -> None:
    config = WebConfig(
        data=site.config.data, url="https://plugins.example", index_url=site.tree.url, testing=True
    )
    client = SiteClient("https://plugins.example", httpx.WSGITransport(app=create_app(config).wsgi_app))
    answer = client.post("/account/sign-up", username="ada", password=PASSWORD)
    cookies = answer.headers.get_list("set-cookie")
    assert all(
        cookie.startswith("__Host-") and "Secure" in cookie and "Path=/" in cookie for cookie in cookies
    )
    assert "max-age" in answer.headers["strict-transport-security"]


def test_signing_in_gives_a_new_session_and_ends_the_old(site: Site, browser: SiteClient) -> None:
    browser.sign_up()
    before = browser.http.cookies["envcli_session"]
    browser.sign_in()
    assert browser.http.cookies["envcli_session"] != before
    thief = SiteClient(URL, browser.http._transport)
    thief.http.cookies.set("envcli_session", before)
    assert thief.get("/account").status_code == 302


def test_a_planted_session_value_is_not_adopted(site: Site, browser: SiteClient) -> None:
    site.client().sign_up()
    browser.http.cookies.set("envcli_session", "planted")
    browser.sign_in()
    planted = SiteClient(URL, browser.http._transport)
    planted.http.cookies.set("envcli_session", "planted")
    assert planted.get("/account").status_code == 302


def test_signing_out_ends_the_session_on_the_server(browser: SiteClient) -> None:
    browser.sign_up()
    kept = browser.http.cookies["envcli_session"]
    browser.post("/account/sign-out", "/account")
    browser.http.cookies.set("envcli_session", kept)
    assert browser.get("/account").status_code == 302


def test_the_database_holds_no_secret_that_signs_in(site: Site, browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    secrets = [browser.http.cookies["envcli_session"], browser.create_token(publisher), PASSWORD]
    content = b"".join(path.read_bytes() for path in site.config.data.glob("web.db*"))
    assert not any(secret.encode() in content for secret in secrets)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil",
        "javascript:alert(1)",
        "/\n/evil",
        "///evil",
    ],
)
def test_signing_in_never_leads_off_the_site(site: Site, target: str) -> None:
    site.client().sign_up()
    answer = site.client().sign_in(next=target)
    assert (answer.status_code, answer.headers["location"]) == (302, "/account")


@given(st.text(max_size=30))
def test_a_local_path_stays_on_the_site(target: str) -> None:
    if is_local_path(target):
        assert httpx.URL(URL).join(target).netloc == httpx.URL(URL).netloc


def test_sign_in_does_not_tell_who_exists(site: Site) -> None:
    site.client().sign_up()
    answers, times = [], []
    for name in ("ada", "nobody"):
        client = site.client()
        client.sign_in(name, "warms the decoy up")
        token = client.csrf("/account/sign-in")
        start = time.perf_counter()
        form = {"csrf_token": token, "username": name, "password": "wrong"}
        answers.append(client.http.post("/account/sign-in", data=form))
        times.append(time.perf_counter() - start)
    known, unknown = (re.sub(r'value="[^"]*"', "", answer.text) for answer in answers)
    assert answers[0].status_code == answers[1].status_code == 401
    assert known == unknown
    assert 0.2 < times[0] / times[1] < 5


def test_guessing_a_password_is_slowed_down(site: Site) -> None:
    site.client().sign_up()
    client = site.client()
    statuses = [client.sign_in(password="wrong guess").status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    last = client.sign_in()
    assert last.status_code == 429, "the right password does not help either"
    assert int(last.headers["retry-after"]) > 0
    assert "Too Many Requests" in last.text


def test_a_locked_account_is_out_everywhere(site: Site, browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    token = browser.create_token(publisher)
    boss = site.client().sign_up("boss")
    with site.app.app_context(), write() as session:
        path = admin.create_code(session, site.config.data)
    assert boss.post("/admin/claim", code=path.read_text()).status_code == 302
    uuid = re.search(r"/admin/accounts/([0-9a-f-]{36})", boss.get("/admin").text)
    assert uuid
    assert boss.post(f"/admin/accounts/{uuid[1]}", "/admin", action="disable").status_code == 302
    assert browser.get("/account").status_code == 302
    assert site.client().sign_in().status_code == 401
    assert (
        site.client().http.post("/oauth/token", data={**EXCHANGE, "subject_token": token}).status_code == 400
    )
    listed = jwt.decode(
        boss.get("/tokens/revoked.json").json()["jwt"],
        KeySet.import_key_set(boss.get("/.well-known/jwks.json").json()),
    )
    assert len(listed.claims["revoked"]) == 1
    assert "account.disabled" in boss.get("/admin").text


def test_the_administrators_code_works_once(site: Site, browser: SiteClient) -> None:
    browser.sign_up()
    with site.app.app_context(), write() as session:
        path = admin.create_code(session, site.config.data)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    code = path.read_text().strip()
    eve = site.client().sign_up("eve")
    assert eve.post("/admin/claim", code="AAAAA-" * 4 + "AAAAA").status_code == 403
    assert eve.get("/admin").status_code == 403
    assert browser.post("/admin/claim", code=code.lower()).status_code == 302
    assert browser.get("/admin").status_code == 200
    assert not path.exists()
    assert eve.post("/admin/claim", code=code).status_code == 403
    assert eve.get("/admin").status_code == 403


def test_the_administrators_code_ends_after_fifteen_minutes(
    site: Site, browser: SiteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_up()
    with site.app.app_context(), write() as session:
        path = admin.create_code(session, site.config.data)
    monkeypatch.setattr(admin, "now", lambda: now() + admin.CODE_LIFE)
    assert browser.post("/admin/claim", code=path.read_text()).status_code == 403


def test_a_new_code_ends_the_old_one(site: Site, browser: SiteClient) -> None:
    browser.sign_up()
    codes = []
    for _ in range(2):
        with site.app.app_context(), write() as session:
            codes.append(admin.create_code(session, site.config.data).read_text())
    assert browser.post("/admin/claim", code=codes[0]).status_code == 403
    assert browser.post("/admin/claim", code=codes[1]).status_code == 302


def test_administration_is_for_administrators(browser: SiteClient) -> None:
    assert browser.get("/admin").status_code == 302
    browser.sign_up()
    assert browser.get("/admin").status_code == 403


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def test_hostile_catalog_data_is_only_text(site: Site, browser: SiteClient) -> None:
    site.tree.add(
        NAME,
        release(
            "1.0",
            ("network:connect", HOSTILE, HOSTILE),
            requires_python=HOSTILE,
            verdict={"result": HOSTILE, "reviewed_by": [HOSTILE], "time": HOSTILE},
            files=[{"filename": HOSTILE, "sha256": "a" * 64, "size": 1}],
        ),
        summary=HOSTILE,
        description=HOSTILE,
        license=HOSTILE,
        author=HOSTILE,
        keywords=[HOSTILE],
        type=HOSTILE,
        publisher={"uuid": HOSTILE, "name": HOSTILE, "identity": "javascript:alert(1)"},
    )
    site.refresh()
    for path in ("/", "/plugins", f"/plugins/{NAME}", "/categories", f"/plugins?q={HOSTILE}"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "<img" not in page.text
        assert 'href="javascript:' not in page.text


def test_hostile_evidence_is_only_text_and_the_command_stays_one_command(
    site: Site, browser: SiteClient
) -> None:
    version = "1.0;touch$(id)"
    evidence = {
        "state": HOSTILE,
        "observations": [{"rule": HOSTILE, "severity": HOSTILE, "evidence": HOSTILE, "path": HOSTILE}],
        "statements": [{"name": HOSTILE, "url": "javascript:alert(1)", "sha256": HOSTILE}],
        "files": [{"filename": HOSTILE}],
    }
    site.tree.put(f"vetting/{NAME}/{version}.json", evidence)
    page = browser.get(f"/vetting/{NAME}/{version}")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "javascript:" not in page.text
    evidence["state"] = "needs-human"
    site.tree.put(f"vetting/{NAME}/{version}.json", evidence)
    assert "&#39;envcli-plugin-x==1.0;touch$(id)&#39;" in browser.get(f"/vetting/{NAME}/{version}").text


@pytest.mark.parametrize(
    "path", ["/vetting/..%2f..%2fetc/1.0", "/vetting/X/1.0", f"/vetting/{NAME}/..%2f..%2fsecret"]
)
def test_paths_of_the_index_cannot_be_left(site: Site, browser: SiteClient, path: str) -> None:
    (site.tree.root.parent / "secret.json").write_text('{"state": "stolen"}')
    answer = browser.get(path)
    assert answer.status_code in {404, 502}
    assert "stolen" not in answer.text


def _segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _claims(token: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        base64.urlsafe_b64decode(token.removeprefix("envcli-").split(".")[1] + "===")
    )
    return found


def test_no_token_stands_for_another(site: Site, browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    good = browser.create_token(publisher)
    issuer = TokenIssuer(load_keys(site.config.keys), URL)
    claims = _claims(good)
    public = json.dumps(issuer.jwks).encode()
    foreign = ECKey.generate_key("P-256", {"kid": issuer.jwks["keys"][0]["kid"]}, private=True)
    api = {"alg": "ES256", "typ": "envcli-api+jwt"}
    forged = {
        "identity token": "envcli-" + issuer.sign_identity_token(publisher),
        "revocation list": "envcli-" + issuer.sign_revocations([]),
        "no prefix": good.removeprefix("envcli-"),
        "alg none": f"envcli-{_segment({'alg': 'none', 'typ': 'envcli-api+jwt'})}.{_segment(claims)}.",
        "public key as HMAC": "envcli-"
        + jwt.encode(
            {"alg": "HS256", "typ": "envcli-api+jwt"}, claims, OctKey.import_key(public), algorithms=["HS256"]
        ),
        "foreign key": "envcli-" + jwt.encode(api | {"kid": str(foreign.kid)}, claims, foreign),
        "changed claims": ".".join(
            [good.split(".")[0], _segment(claims | {"publisher": None}), good.split(".")[2]]
        ),
        "other issuer": TokenIssuer(load_keys(site.config.keys), "https://evil.example").sign_api_token(
            jti="x", account="x", publisher=publisher, publisher_name=None, scope=["upload"], expires=2**31
        ),
        "expired": issuer.sign_api_token(
            jti=str(claims["jti"]),
            account="x",
            publisher=publisher,
            publisher_name=None,
            scope=["upload"],
            expires=1,
        ),
        "unknown to the database": issuer.sign_api_token(
            jti="x", account="x", publisher=publisher, publisher_name=None, scope=["upload"], expires=2**31
        ),
        "too long": good + "a" * 5000,
        "empty": "",
    }
    for kind, token in forged.items():
        answer = site.client().http.post("/oauth/token", data={**EXCHANGE, "subject_token": token})
        assert answer.status_code == 400, kind
        assert "access_token" not in answer.text
        assert site.client().post_receipt(token or "x", digest_of("x")).status_code == 401, kind
    assert (
        site.client().http.post("/oauth/token", data={**EXCHANGE, "subject_token": good}).status_code == 200
    )


def test_a_receipt_token_cannot_sign_releases(site: Site, browser: SiteClient) -> None:
    token = browser.sign_up().create_token()
    answer = site.client().http.post("/oauth/token", data={**EXCHANGE, "subject_token": token})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@given(st.text(max_size=200))
def test_garbage_is_never_a_token(text: str) -> None:
    key = ECKey.generate_key("P-256", private=True)
    with pytest.raises(TokenError):
        TokenIssuer(KeySet([key]), URL).verify_api_token(text)


@pytest.mark.parametrize("name", ["oidc.json", "form-secret"])
def test_keys_that_others_can_read_are_refused(site: Site, name: str) -> None:
    (site.config.keys / name).chmod(0o644)
    with pytest.raises(ConfigurationError, match="can be read by others"):
        create_app(site.config)


def test_secrets_are_private_files(site: Site) -> None:
    for path in (site.config.keys, *site.config.keys.iterdir(), site.config.data / "config.toml"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_errors_show_nothing_of_the_inside(
    site: Site, browser: SiteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2 at /secret/path")

    monkeypatch.setattr("envcli_web.categories.views.services.list_shelves", broken)
    site.app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = browser.get("/categories")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


def test_a_huge_body_is_refused(browser: SiteClient) -> None:
    answer = browser.http.post("/account/sign-in", content=b"x" * 300_000)
    assert answer.status_code in {400, 413}


def test_the_cache_keeps_no_private_page(browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    assert "no-cache" in browser.get("/account").headers["cache-control"]
    issued = browser.post("/account/tokens", publisher=publisher, label="x", days="7")
    assert issued.headers["cache-control"] == "no-store"


def test_a_private_key_file_is_not_served(site: Site, browser: SiteClient) -> None:
    for path in (
        "/static/../../keys/oidc.json",
        "/static/%2e%2e/%2e%2e/keys/oidc.json",
        f"/static{site.config.keys}/oidc.json",
    ):
        assert browser.get(path).status_code == 404
    assert Path(site.config.keys / "oidc.json").exists()


@pytest.mark.parametrize(
    "name",
    ["envcli", "Envcli Team", "ENV-CLI", "The e.n.v.c.l.i crew", "Official plugins", "Аda's tools", "Αda"],
)
def test_publisher_cannot_speak_for_the_marketplace_or_in_two_alphabets(site: Site, name: str) -> None:
    client = site.client().sign_up("mallory")
    assert client.post("/portal/publishers", "/portal", name=name).status_code == 400


@pytest.mark.parametrize("name", ["ada's tools", "Adas Tools", "Ada\u2019s-tools!", "Ａda's tools"])
def test_name_of_a_publisher_cannot_be_imitated(site: Site, name: str) -> None:
    site.client().sign_up("ada").create_publisher("Ada's tools")
    client = site.client().sign_up("mallory")
    assert client.post("/portal/publishers", "/portal", name=name).status_code == 409


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"sha256":' + b"[" * 100_000])
def test_deep_json_is_refused_in_order(site: Site, browser: SiteClient, body: bytes) -> None:
    token = browser.sign_up().create_token()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with httpx.Client(base_url=URL, transport=browser.http._transport) as host:
        assert host.post("/api/v1/receipts", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1:99999/", "http://[::1/", "http://127.0.0.1:x@evil.example/", "http://127.0.0.1:x/"],
)
def test_addresses_that_are_none_are_refused_in_order(browser: SiteClient, target: str) -> None:
    asked = {"client_id": "sigstore", "redirect_uri": target, "response_type": "code"}
    answer = browser.sign_up().get("/oauth/authorize", params=asked)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_evidence_of_something_that_is_no_project_is_not_found(browser: SiteClient) -> None:
    assert browser.get("/vetting/a..b/1").status_code == 404
