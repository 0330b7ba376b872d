"""A publisher's way from a built project to an accepted release, on a real site and a real index."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from common.index_server import IndexServer, new_index_server
from common.ports import free_port
from common.site import SiteClient, initialise
from envcli_host.cli.main import main
from envcli_host.config import HostPaths
from envcli_host.workshop.credentials import read_token
from envcli_host.workshop.errors import SigningError
from envcli_host.workshop.project import PluginProject
from envcli_host.workshop.publishing import find_market
from envcli_host.workshop.scaffold import PluginAnswers, create_project
from envcli_host.workshop.signing import sign_release
from envcli_web.app import create_app
from envcli_web.config import WebConfig
from werkzeug.serving import make_server

pytestmark = pytest.mark.xdist_group("workshop-market")


@dataclass(frozen=True)
class Market:
    """A site, its index and a publisher's token."""

    index: IndexServer
    site: SiteClient
    token: str


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    folder = tmp_path_factory.mktemp("market")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    index = new_index_server(folder / "index", SimpleNamespace(url=url))  # type: ignore[arg-type]
    app = create_app(initialise(WebConfig(data=folder / "web", url=url, index_url=index.config.public_url)))
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        site = SiteClient(url).sign_up()
        token = site.create_token(site.create_publisher())
        index.start("devpi", "serve", "authority", "log", "timestamp", "gate")
        yield Market(index, site, token)
    finally:
        for process in index.processes.values():
            process.terminate()
        for process in index.processes.values():
            process.wait(timeout=15)
        server.shutdown()


@pytest.fixture
def publisher(market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Market:
    """A host that knows the index and holds the token."""
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENVCLI_TOKEN", market.token)
    monkeypatch.delenv("ENVCLI_UPLOAD_URL", raising=False)
    added = main(["index", "add", market.index.config.public_url, "--root-sha256", market.index.root_sha256])
    assert added == 0
    return market


_numbers = iter(range(1000))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A built project whose name nobody used yet."""
    name = f"published-{os.getpid()}-{next(_numbers)}"
    created = create_project(PluginAnswers(name, "command", "Counts variables", "Ada"), tmp_path)
    assert main(["plugin", "build", "--project", str(created), "--no-isolation"]) == 0
    return created


def kinds_listed(status_url: str) -> set[str]:
    """The kinds of file that the index lists once it has rendered both."""
    deadline, kinds = time.monotonic() + 20, set[str]()
    while len(kinds) < 2 and time.monotonic() < deadline:
        answer = httpx.get(status_url, trust_env=False)
        kinds = {file["kind"] for file in answer.json()["files"]} if answer.is_success else set()
        time.sleep(0.05)
    return kinds


def command(verb: str, project: Path, *more: str) -> int:
    return main(["plugin", verb, "--project", str(project), *more])


def test_published_release_is_staged_signed_and_followed(
    publisher: Market, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert command("publish", project, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["project"] == project.name
    assert kinds_listed(answer["status_url"]) == {"wheel", "sdist"}
    assert command("status", project) == 0
    assert f"{project.name} 0.1.0: checking" in capsys.readouterr().out


def test_every_file_gets_two_attestations_and_nothing_secret(publisher: Market, project: Path) -> None:
    assert command("sign", project) == 0
    written = sorted((project / "dist").glob("*.attestation"))
    kinds = [".".join(path.name.split(".")[-2:]) for path in written]
    assert sorted(kinds) == ["provenance.attestation"] * 2 + ["publish.attestation"] * 2
    for path in written:
        text = path.read_text()
        assert publisher.token not in text
        assert json.loads(text)["version"] == 1


def test_unmodified_twine_publishes_what_was_signed(publisher: Market, project: Path) -> None:
    assert command("sign", project) == 0
    distributions = [str(path) for path in (project / "dist").glob("*[!n]") if path.suffix in {".whl", ".gz"}]
    attestations = [str(path) for path in (project / "dist").glob("*.attestation")]
    environment = {
        **os.environ,
        "TWINE_USERNAME": "__token__",
        "TWINE_PASSWORD": publisher.token,
        "TWINE_NON_INTERACTIVE": "1",
        "NO_PROXY": "127.0.0.1",
    }
    twine = [sys.executable, "-m", "twine", "upload", "--attestations", "--disable-progress-bar"]
    done = subprocess.run(
        [*twine, "--repository-url", publisher.index.upload_url, *distributions, *attestations],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_same_version_twice_is_refused_with_its_rule(
    publisher: Market, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("publish", project) == 0
    (project / "README.md").write_text("# Something else\n")
    assert command("build", project, "--no-isolation") == 0
    assert command("publish", project) == 1
    error = capsys.readouterr().err
    assert "[version-exists]" in error
    assert publisher.token not in error


def test_file_that_was_not_built_here_is_not_signed(
    publisher: Market, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (wheel,) = (project / "dist").glob("*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    assert command("sign", project) == 1
    assert "is not the file that was built" in capsys.readouterr().err
    assert not list((project / "dist").glob("*.attestation"))


def test_forged_token_cannot_sign(
    publisher: Market, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    header, payload, signature = publisher.token.split(".")
    forged = ".".join((header, payload, signature[::-1]))
    monkeypatch.setenv("ENVCLI_TOKEN", forged)
    assert command("sign", project) == 1
    error = capsys.readouterr().err
    assert "refused to exchange the API token" in error
    assert forged not in error


def test_token_of_another_site_is_never_sent_there(
    publisher: Market, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = "envcli-e30.eyJpc3MiOiAiaHR0cDovLzEyNy4wLjAuMTo5In0.c2ln"
    monkeypatch.setenv("ENVCLI_TOKEN", foreign)
    assert command("sign", project) == 1
    assert "was issued by http://127.0.0.1:9" in capsys.readouterr().err


def test_upload_address_is_what_the_index_signs(publisher: Market) -> None:
    assert find_market(HostPaths.from_environment(), None).upload_url == publisher.index.upload_url


def test_release_that_the_index_would_refuse_is_never_signed(
    publisher: Market, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = project / "pyproject.toml"
    text = settings.read_text()
    settings.write_text(re.sub(r"(?m)^description = .*$", f'description = "{"x" * 600}"', text))
    assert command("build", project, "--no-isolation") == 0
    capsys.readouterr()
    assert command("publish", project) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "[metadata-invalid]" in error
    assert not list((project / "dist").glob("*.attestation"))
    settings.write_text(text)
    assert command("build", project, "--no-isolation") == 0
    assert command("publish", project) == 0  # the same version: nothing used it up


@pytest.mark.parametrize(
    ("service", "title"), [("authority", "certificate authority"), ("log", "transparency log")]
)
def test_stopped_signing_service_is_named_in_one_line(
    publisher: Market, project: Path, capsys: pytest.CaptureFixture[str], service: str, title: str
) -> None:
    config = publisher.index.config
    url = {"authority": config.authority_url, "log": config.log_url}[service]
    publisher.index.stop(service)
    try:
        capsys.readouterr()
        assert command("sign", project) == 1
    finally:
        publisher.index.start(service)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(rf"^error: .*{title} at {re.escape(url)}\S* does not answer", error), error
    assert "HTTPConnectionPool" not in error
    assert "Try again" in error
    assert not list((project / "dist").glob("*.attestation"))


def test_log_that_stops_after_the_certificate_is_named(publisher: Market, project: Path) -> None:
    paths = HostPaths.from_environment()
    config = json.loads(find_market(paths, None).trust_config)
    closed = f"http://127.0.0.1:{free_port()}"
    for log in config["signingConfig"]["rekorTlogUrls"]:
        log["url"] = closed
    with pytest.raises(SigningError, match=f"transparency log at {closed} does not answer") as caught:
        sign_release(PluginProject.load(project), read_token(paths), json.dumps(config), lambda _: None)
    assert "HTTPConnectionPool" not in str(caught.value)
    assert not list((project / "dist").glob("*.attestation"))


def test_stopped_index_is_one_line(
    publisher: Market, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    closed = f"http://127.0.0.1:{free_port()}/upload/"
    assert command("publish", project, "--upload-url", closed) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(f"error: cannot reach {closed}")
