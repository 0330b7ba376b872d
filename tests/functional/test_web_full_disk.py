"""The site on a disk that is really full: a small file system of its own, filled to the brim."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from common.require import require
from envcli_host.workshop.credentials import _identity_token
from envcli_host.workshop.errors import SigningError

SCENARIO = """
import json, os, sys
from pathlib import Path
import httpx
from common.site import URL, SiteClient, initialise
from envcli_web.app import create_app
from envcli_web.config import WebConfig

folder = Path(sys.argv[1])
config = WebConfig(data=folder / "site", url=URL, index_url="http://127.0.0.1:9")
initialise(config)
transport = httpx.WSGITransport(create_app(config), raise_app_exceptions=False)
browser = SiteClient(URL, transport)
token = browser.sign_up().create_token(browser.create_publisher())
form = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "audience": "sigstore",
    "subject_token": token,
}
page = browser.csrf("/account/sign-in")
answers = []
for leave in (True, False):
    if leave:
        with (folder / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
    else:
        (folder / "filler").unlink()
    for path, fields in (("/oauth/token", form), ("/account/sign-in", {"csrf_token": page})):
        fields = {"username": "ada", "password": "correct horse battery staple", **fields}
        answer = browser.http.post(path, data=fields)
        answers.append([answer.status_code, answer.headers.get("content-type"), answer.text])
print(json.dumps(answers))
"""


def test_a_full_disk_is_said_in_the_form_that_each_reader_understands(tmp_path: Path) -> None:
    require("bwrap")
    space = tmp_path / "space"
    space.mkdir()
    sandbox = ["bwrap", "--dev-bind", "/", "/", "--size", str(16 << 20), "--tmpfs", str(space)]
    done = subprocess.run(
        [*sandbox, sys.executable, "-c", SCENARIO, str(space)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    exchange, page, later, _ = json.loads(done.stdout.splitlines()[-1])
    assert (exchange[0], exchange[1]) == (507, "application/json"), exchange
    said = json.loads(exchange[2])
    assert set(said) == {"error", "error_description"}
    assert said["error"] == "temporarily_unavailable"
    assert "The disk of the site is full" in said["error_description"]
    assert page[0] == 507
    assert "The disk of the site is full" in page[2]
    assert later[0] == 200, later


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            507,
            {"error": "temporarily_unavailable", "error_description": "The disk is full"},
            "The disk is full",
        ),
        (503, {"error": {"message": "x"}}, "no reason given"),
        (500, {"error": "server_error", "error_description": "a\nb"}, "a b"),
    ],
)
def test_the_host_says_whose_fault_it_is(status: int, body: dict[str, object], words: str) -> None:
    with pytest.raises(SigningError) as caught:
        _identity_token(httpx.Response(status, json=body))
    assert f"(HTTP {status}: {words})" in str(caught.value)
    assert "revoked" not in str(caught.value)
    assert "{" not in str(caught.value)
    with pytest.raises(SigningError, match="not revoked"):
        _identity_token(httpx.Response(400, json={"error": "invalid_grant"}))
