"""A visit with a real browser: sign up, search, read a plugin's page, review it; with scripts switched off."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.public_tree import PublicTree, digest_of, release
from common.require import require
from common.served_site import served_site
from common.site import PASSWORD, SiteClient
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

pytestmark = pytest.mark.xdist_group("browser")
NAME = "envcli-plugin-aws-secrets"
README = "# AWS Secrets Manager\n\nReads and writes secrets.\n\n<script>document.title = 'owned'</script>\n"
SMALLEST_TARGET = 24


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    require("chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A served site that follows an index with a few plugins."""
    require("chromium")
    folder = tmp_path_factory.mktemp("browser-site")
    (folder / "tree").mkdir()
    with PublicTree(folder / "tree") as tree:
        network = ("network:connect", "secretsmanager.*.amazonaws.com:443", "to read and write your secrets")
        tree.add(
            NAME, release("1.0"), release("1.1", network), description=README, keywords=["aws", "secrets"]
        )
        tree.add("envcli-plugin-vault", summary="Reads and writes HashiCorp Vault", keywords=["vault"])
        tree.put("vetting/queue.json", [{"project": NAME, "version": "1.1", "state": "needs-human"}])
        with served_site(folder / "site", tree.url) as served:
            yield served


@pytest.fixture(params=["desktop-light", "phone-dark"])
def context(chromium: Browser, url: str, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A fresh browser profile without scripts, on a desk and on a phone."""
    is_phone = request.param == "phone-dark"
    size = {"width": 390, "height": 844} if is_phone else {"width": 1280, "height": 900}
    opened = chromium.new_context(
        base_url=url,
        java_script_enabled=False,
        color_scheme="dark" if is_phone else "light",
        viewport=size,  # type: ignore[arg-type]
    )
    opened.set_default_timeout(20_000)
    yield opened
    opened.close()


def _name(request: pytest.FixtureRequest) -> str:
    return "".join(filter(str.isalnum, request.node.callspec.id))[:20]


def _check_layout(page: Page) -> None:
    """Nothing sticks out sideways, and there is one heading of the first rank."""
    assert page.locator("h1").count() == 1
    body, view = page.locator("body").bounding_box(), page.viewport_size
    assert body
    assert view
    assert body["width"] <= view["width"]
    for control in page.locator("button:visible, input:not([type=hidden]):visible, select:visible").all():
        box = control.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 22


def test_sign_up_search_read_review(
    context: BrowserContext, url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    page = context.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("requestfailed", lambda failed: messages.append(failed.url))
    shots = Path(os.environ.get("ENVCLI_SCREENSHOTS", tmp_path))
    tag = _name(request)

    page.goto("/")
    page.wait_for_timeout(500)
    _check_layout(page)
    page.screenshot(path=shots / f"{tag}-home.png", full_page=True)
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("User name").fill(tag)
    page.get_by_label("Password").fill(PASSWORD)
    page.screenshot(path=shots / f"{tag}-sign-up.png", full_page=True)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("status")).to_contain_text("Welcome")
    _check_layout(page)

    page.get_by_role("searchbox").fill("aws secrets")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Results for")
    _check_layout(page)
    page.screenshot(path=shots / f"{tag}-search.png", full_page=True)
    page.get_by_role("link", name=NAME).click()

    expect(page.get_by_role("heading", level=1)).to_contain_text(NAME)
    expect(page.get_by_text(f"envcli plugin install {NAME}")).to_be_visible()
    expect(page.get_by_text("now asks for network:connect")).to_be_visible()
    expect(page.get_by_text("Only people who have installed the plugin")).to_be_visible()
    assert "owned" not in page.title()
    _check_layout(page)

    page.goto("/account/tokens")
    page.get_by_label("Label").fill("laptop")
    page.get_by_role("button", name="Create token").click()
    token = page.locator("#token").inner_text()
    _check_layout(page)
    wheel = digest_of("envcli_plugin_aws_secrets-1.1-py3-none-any.whl")
    assert SiteClient(url).post_receipt(token, wheel).status_code == 201

    page.goto(f"/plugins/{NAME}")
    page.get_by_label("4 stars").check()
    page.get_by_label("Review", exact=True).fill("Does what it says.")
    page.get_by_role("button", name="Save review").click()
    expect(page.get_by_role("status").first).to_contain_text("Your review is saved")
    expect(page.get_by_text("Does what it says.").last).to_be_visible()
    _check_layout(page)
    page.screenshot(path=shots / f"{tag}-plugin.png", full_page=True)
    assert messages == []


def test_the_keyboard_reaches_the_content_first(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/plugins")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()


def test_every_page_keeps_its_layout(
    context: BrowserContext, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    page = context.new_page()
    shots = Path(os.environ.get("ENVCLI_SCREENSHOTS", tmp_path))
    for path in (
        "/plugins",
        "/categories",
        "/categories/cloud",
        "/vetting",
        "/about/ratings",
        "/account/sign-in",
        "/nope",
    ):
        page.goto(path)
        _check_layout(page)
        page.screenshot(path=shots / f"{_name(request)}{path.replace('/', '-')}.png", full_page=True)
