"""The catalog: following the index, searching, a plugin's page, reviews, and the JSON interface."""

import base64
import hashlib
import json
import time

import httpx
import pytest
from common.public_tree import digest_of, release
from common.site import Site, SiteClient
from envcli_policy.statements import CAPABILITY
from envcli_web.catalog.index_client import IndexUnusableError
from envcli_web.jobs.worker import Worker

pytest_plugins = ("common.site_fixtures",)

NETWORK = ("network:connect", "secretsmanager.*.amazonaws.com:443", "to read secrets")
SPAWN = ("process:spawn", "git", "to commit")
NAME = "envcli-plugin-aws-secrets"


def wheel_of(name: str, version: str = "1.0") -> str:
    return digest_of(f"{name.replace('-', '_')}-{version}-py3-none-any.whl")


def names(answer: httpx.Response) -> list[str]:
    return [item["name"] for item in answer.json()["plugins"]]


def test_the_page_of_a_plugin_shows_what_one_decides_by(site: Site, browser: SiteClient) -> None:
    old = release("1.0", NETWORK, uploaded="2025-01-01T00:00:00Z")
    site.tree.add(NAME, old, release("1.1", NETWORK, SPAWN))
    site.refresh()
    page = browser.get(f"/plugins/{NAME}").text
    for text in (
        f"envcli plugin install {NAME}",
        f"pip install --index-url {site.tree.url}/simple/ {NAME}==1.1",
        "Ada&#39;s tools",
        "vetted",
        "Grace",
        "secretsmanager.*.amazonaws.com:443",
        "to read secrets",
        "now asks for <code>process:spawn</code>",
        wheel_of(NAME, "1.1"),
        f"{site.tree.url}/integrity/{NAME}/1.1/",
        "not rated yet",
        "<em>does</em>",
    ):
        assert text in page, text
    assert "now asks for" not in browser.get(f"/plugins/{NAME}/1.0").text
    assert browser.get(f"/plugins/{NAME}/9.9").status_code == 404


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "quarantined"}, "is quarantined"),
        ({"status": "archived"}, "is archived"),
        ({"status": "deprecated"}, "is deprecated"),
    ],
)
def test_a_status_stands_above_everything(
    site: Site, browser: SiteClient, changes: dict[str, str], words: str
) -> None:
    site.tree.add(NAME, **changes)
    site.refresh()
    page = browser.get(f"/plugins/{NAME}").text
    assert words in page
    assert page.index(words) < page.index("<h1>")
    assert (names(browser.get("/api/v1/plugins")) == [NAME]) == (changes["status"] != "quarantined")


TAKEDOWN = {
    "id": "ENVCLI-TD-0123456789abcdef",
    "reason": "steals <tokens>",
    "severity": "critical",
    "issued": "2026-01-04T05:06:07Z",
    "advisory": "ENVCLI-2026-0001",
}


def test_a_takedown_is_explained_wherever_the_release_is_shown(site: Site, browser: SiteClient) -> None:
    bad = release("1.0", state="quarantined", files=[], takedown=TAKEDOWN)
    site.tree.add(NAME, bad, status="quarantined")
    site.tree.put(
        f"vetting/{NAME}/1.0.json",
        {"state": "quarantined", "takedown": TAKEDOWN, "publisher": {"name": "Ada's tools"}},
    )
    site.refresh()
    for path in (f"/plugins/{NAME}", f"/plugins/{NAME}/1.0", f"/vetting/{NAME}/1.0"):
        page = browser.get(path).text
        for text in ("quarantined", "steals &lt;tokens&gt;", "severity: critical", "2026-01-04 05:06 UTC"):
            assert text in page, (path, text)
        for text in (
            TAKEDOWN["id"],
            TAKEDOWN["advisory"],
            "Ada&#39;s tools",
            "can appeal to the administrator",
        ):
            assert text in page, (path, text)
    answer = browser.get(f"/api/v1/plugins/{NAME}").json()
    assert answer["takedown"] == TAKEDOWN | {"issued": "2026-01-04T05:06:07+00:00"}
    assert answer["versions"][0]["takedown"] == answer["takedown"]


def test_a_takedown_of_an_old_version_does_not_hide_the_good_one(site: Site, browser: SiteClient) -> None:
    site.tree.add(NAME, release("1.0", state="quarantined", files=[], takedown=TAKEDOWN), release("1.1"))
    site.refresh()
    assert "Taken down" not in browser.get(f"/plugins/{NAME}").text
    page = browser.get(f"/plugins/{NAME}/1.0").text
    assert "Taken down" in page
    assert "See 1.1 instead" in page


@pytest.mark.parametrize("garbled", ["x", ["x"], {}, {"id": 7, "reason": None, "issued": "never"}])
def test_a_garbled_takedown_breaks_no_page(site: Site, browser: SiteClient, garbled: object) -> None:
    site.tree.add(NAME, release("1.0", state="quarantined", files=[], takedown=garbled))
    site.refresh()
    assert browser.get(f"/plugins/{NAME}").status_code == 200


def test_a_yanked_version_is_shown_but_not_offered(site: Site, browser: SiteClient) -> None:
    site.tree.add(NAME, release("1.0"), release("2.0", yanked="leaks the token"))
    site.refresh()
    assert f"{NAME}==1.0" in browser.get(f"/plugins/{NAME}").text
    page = browser.get(f"/plugins/{NAME}/2.0").text
    assert "leaks the token" in page
    assert "envcli plugin install" not in page


def test_a_pre_release_does_not_become_the_default(site: Site, browser: SiteClient) -> None:
    site.tree.add(NAME, release("1.0"), release("2.0rc1"))
    site.refresh()
    assert browser.get(f"/api/v1/plugins/{NAME}").json()["latest"] == "1.0"


def test_events_bring_changes_and_removals(site: Site, browser: SiteClient) -> None:
    site.tree.add(NAME)
    assert site.refresh() == 1
    assert site.refresh() == 0
    site.tree.add(NAME, release("1.0"), release("1.1"))
    site.tree.add("envcli-plugin-vault")
    assert site.refresh() == 2
    assert browser.get(f"/api/v1/plugins/{NAME}").json()["latest"] == "1.1"
    site.tree.remove(NAME)
    assert site.refresh() == 1
    assert names(browser.get("/api/v1/plugins")) == ["envcli-plugin-vault"]
    assert "was removed" in browser.get(f"/plugins/{NAME}").text


def test_a_replaced_feed_makes_the_catalog_anew(site: Site, browser: SiteClient) -> None:
    site.tree.add("envcli-plugin-one")
    site.tree.add("envcli-plugin-two")
    site.refresh()
    site.tree.put("projects/index.json", [{"name": "envcli-plugin-two"}])
    site.tree.put("feed/head.json", {"seq": 3, "sha256": "0" * 64})
    site.tree._last = "f" * 64  # the next event does not continue the one before
    site.tree._names.remove("envcli-plugin-one")
    site.tree.add("envcli-plugin-three")
    site.refresh()
    assert sorted(names(browser.get("/api/v1/plugins"))) == ["envcli-plugin-three", "envcli-plugin-two"]


@pytest.mark.parametrize(
    "record",
    [
        {"name": NAME},
        {"project_uuid": "x", "releases": [{"files": [{}], "version": "1"}]},
        {"project_uuid": "x", "publisher": 3},
    ],
)
def test_a_garbled_record_changes_nothing(site: Site, browser: SiteClient, record: dict[str, object]) -> None:
    site.tree.add(NAME)
    site.refresh()
    site.tree.put(f"projects/{NAME}.json", record)
    site.tree.emit(NAME)
    site.tree.add("envcli-plugin-good")
    assert site.refresh() == 1, "the garbled one does not stop the other"
    assert browser.get(f"/api/v1/plugins/{NAME}").json()["latest"] == "1.0"
    assert browser.get("/api/v1/plugins/envcli-plugin-good").status_code == 200


def test_a_stopped_index_leaves_the_catalog_readable(site: Site, browser: SiteClient) -> None:
    site.tree.add(NAME)
    site.refresh()
    site.tree.__exit__(None, None, None)
    with pytest.raises(IndexUnusableError):
        site.refresh()
    assert browser.get(f"/plugins/{NAME}").status_code == 200
    assert browser.get("/vetting").status_code == 502


def test_search_finds_words_prefixes_and_misspelled_names(site: Site, browser: SiteClient) -> None:
    site.tree.add(NAME, summary="Secrets of a cloud", keywords=["aws"])
    site.tree.add("envcli-plugin-vault", summary="Reads HashiCorp's store", keywords=["secrets"])
    site.tree.add("envcli-plugin-django-rules", summary="Finds unsafe settings", type="validation-rule")
    site.refresh()

    def search(query: str, **more: str) -> list[str]:
        return names(browser.get("/api/v1/plugins", params={"q": query, **more}))

    assert search("aws secrets") == [NAME]
    assert search("hashi") == ["envcli-plugin-vault"]
    assert search("envcli-plugin-vault")[0] == "envcli-plugin-vault"
    assert search("valut") == ["envcli-plugin-vault"]
    assert search("djago") == ["envcli-plugin-django-rules"]
    assert search("secrets", type="validation-rule") == []
    assert sorted(search("secrets")) == [NAME, "envcli-plugin-vault"]
    assert search("secrets", category="cloud") == [NAME]
    assert search("nothing like that") == []
    for hostile in ('"', "name:x", "a* OR b", "NEAR(", "'; --", "\x00", "%", "-", "AND"):
        assert browser.get("/plugins", params={"q": hostile}).status_code == 200


def test_categories_hold_what_was_filed_there(site: Site, browser: SiteClient) -> None:
    site.tree.add(NAME, keywords=["aws"])
    site.tree.add("envcli-plugin-rules", type="validation-rule")
    site.tree.add("envcli-plugin-strange", type="command", categories=["themes"])
    site.refresh()
    assert NAME in browser.get("/categories/cloud").text
    assert "envcli-plugin-rules" in browser.get("/categories/validation").text
    assert "envcli-plugin-strange" in browser.get("/categories/themes").text
    assert browser.get("/categories/nope").status_code == 404


def test_long_lists_have_pages(site: Site, browser: SiteClient) -> None:
    for number in range(23):
        site.tree.add(f"envcli-plugin-p{number:02}")
    site.refresh()
    first = browser.get("/api/v1/plugins?sort=name").json()
    second = browser.get("/api/v1/plugins?sort=name&page=2").json()
    assert (first["total"], first["pages"]) == (23, 2)
    assert len({item["name"] for item in first["plugins"] + second["plugins"]}) == 23
    assert "Page 2 of 2" in browser.get("/plugins?page=2").text
    assert browser.get("/plugins?page=x").status_code == 200


def test_download_counts_come_from_the_index(site: Site, browser: SiteClient) -> None:
    site.tree.add("envcli-plugin-a")
    site.tree.add("envcli-plugin-b")
    counts = {"envcli-plugin-b": {"total": 1234, "last_30_days": 50, "how": "files that were fetched"}}
    site.tree.put("stats/downloads.json", {"generated": "2026-01-01T00:00:00Z", "projects": counts})
    Worker(site.app, site.config.data).step()
    page = browser.get("/plugins/envcli-plugin-b").text
    assert "1,234" in page
    assert "files that were fetched" in page
    assert names(browser.get("/api/v1/plugins")) == ["envcli-plugin-b", "envcli-plugin-a"]


def test_the_worker_follows_the_feed_and_comes_back_to_failed_jobs(site: Site, browser: SiteClient) -> None:
    worker = Worker(site.app, site.config.data)
    site.tree.add(NAME)
    event = site.tree.root / "feed/events/1.json"
    hidden = event.rename(event.with_suffix(".hidden"))
    worker.step()
    assert names(browser.get("/api/v1/plugins")) == []
    hidden.rename(event)
    deadline = time.monotonic() + 20
    while not names(browser.get("/api/v1/plugins")) and time.monotonic() < deadline:
        time.sleep(0.2)
        worker.step()
    assert names(browser.get("/api/v1/plugins")) == [NAME]


def test_a_review_needs_an_install_and_counts(site: Site, browser: SiteClient) -> None:
    site.tree.add(NAME)
    site.refresh()
    page = f"/plugins/{NAME}"
    browser.sign_up()
    assert "Only people who have installed" in browser.get(page).text
    fields = {"stars": "4", "body": "Works\nwell <b>here</b>"}
    refused = browser.post(f"{page}/review", "/account", **fields)
    assert refused.status_code == 403

    token = browser.create_token()
    assert browser.post_receipt(token, wheel_of(NAME)).status_code == 201
    assert browser.post_receipt(token, wheel_of(NAME)).status_code == 200
    assert browser.post_receipt(token, digest_of("another")).status_code == 404
    assert browser.post_receipt(token, "../x").status_code == 400

    assert browser.post(f"{page}/review", page, **fields).status_code == 302
    shown = browser.get(page).text
    assert "Works\nwell &lt;b&gt;here&lt;/b&gt;" in shown
    assert browser.get(f"/api/v1{page}").json()["rating"] == {"count": 1, "mean": 4.0}

    assert browser.post(f"{page}/review", page, stars="2", body="Not any more").status_code == 302
    assert browser.get(f"/api/v1{page}").json()["histogram"]["2"] == 1
    assert browser.get(f"/api/v1{page}").json()["rating"]["count"] == 1
    assert "edited" in browser.get(page).text


@pytest.mark.parametrize("stars", ["0", "6", "", "five"])
def test_stars_are_one_to_five(site: Site, browser: SiteClient, stars: str) -> None:
    site.tree.add(NAME)
    site.refresh()
    browser.sign_up().post_receipt(browser.create_token(), wheel_of(NAME))
    answer = browser.post(f"/plugins/{NAME}/review", f"/plugins/{NAME}", stars=stars, body="x")
    assert answer.status_code == 400
    assert browser.get(f"/api/v1/plugins/{NAME}").json()["rating"]["count"] == 0


def test_the_publisher_cannot_review_itself(site: Site, browser: SiteClient) -> None:
    publisher = browser.sign_up().create_publisher()
    site.tree.add(NAME, publisher={"uuid": publisher, "name": "Ada's tools", "identity": "urn:x"})
    site.refresh()
    browser.post_receipt(browser.create_token(), wheel_of(NAME))
    answer = browser.post(f"/plugins/{NAME}/review", "/account", stars="5", body="Great!")
    assert answer.status_code == 403
    assert "cannot review their own plugin" in answer.text


def capability_statement(site: Site, **predicate: object) -> dict[str, object]:
    """Publish a capability statement and return its line in the list of statements."""
    body = {"predicateType": CAPABILITY, "predicate": predicate}
    payload = base64.b64encode(json.dumps(body).encode()).decode()
    raw = site.tree.put(f"statements/{NAME}/1.0/capability.dsse.json", {"payload": payload, "signatures": []})
    return {
        "name": "capability",
        "predicateType": CAPABILITY,
        "sha256": hashlib.sha256(raw).hexdigest(),
        "url": "x",
    }


def test_a_capability_statement_is_shown_only_if_it_is_the_listed_one(
    site: Site, browser: SiteClient
) -> None:
    seen = [{"permission": "file:read", "evidence": [{"path": "evil.py", "line": 7}]}]
    line = capability_statement(site, observed=seen, undeclared=["file:read"], unused=["process:spawn"])
    site.tree.put(f"vetting/{NAME}/1.0.json", {"state": "needs-human", "statements": [line]})
    page = browser.get(f"/vetting/{NAME}/1.0").text
    assert "evil.py:7" in page
    assert "does not ask for: file:read" in page
    assert "not seen to need: process:spawn" in page
    capability_statement(site, observed=[], undeclared=[], unused=[])
    answer = browser.get(f"/vetting/{NAME}/1.0")
    assert answer.status_code == 502
    assert "missing or was replaced" in answer.text


def test_the_reviewer_sees_the_evidence_and_the_command(site: Site, browser: SiteClient) -> None:
    evidence = {
        "project": NAME,
        "version": "1.0",
        "state": "needs-human",
        "publisher": {"name": "Ada's tools"},
        "files": [{"filename": "x.whl", "sha256": "a" * 64, "size": 9}],
        "manifest": {"permissions": [{"permission": "process:spawn", "scope": "git", "reason": "to commit"}]},
        "statements": [],
        "observations": [
            {"rule": "low-one", "severity": "note", "why": "a"},
            {
                "rule": "bandit-B602",
                "severity": "high",
                "path": "x.py",
                "line": 3,
                "why": "<script>shell</script>",
            },
        ],
    }
    site.tree.put(f"vetting/{NAME}/1.0.json", evidence)
    site.tree.put("vetting/queue.json", [{"project": NAME, "version": "1.0", "state": "needs-human"}])
    assert f"/vetting/{NAME}/1.0" in browser.get("/vetting").text
    page = browser.get(f"/vetting/{NAME}/1.0").text
    assert page.index("bandit-B602") < page.index("low-one")
    assert "&lt;script&gt;shell" in page
    assert f"--key reviewer.pem {NAME}==1.0 --approve" in page
    assert "<form method" not in page, "the page can change nothing"
    assert browser.get(f"/vetting/{NAME}/2.0").status_code == 404
