"""The claims of the demo, in the order of a release's life."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo.market import Market
from demo.shell import DemoError, Ran, Report, Shell
from demo.site import Visitor
from demo.wheels import EXAMPLES, HOSTILE, copy_example

AWS, RULE = EXAMPLES
WAIT_SECONDS = 180
ATTEMPTS = (r"/\.ssh", "environ", r"169\.254\.169\.254:80", r"/\.bashrc", "fork|exec|clone")
PASSWORD = "a long demo password, not a secret"  # the account lives as long as the demo


@dataclass
class Journey:
    """Everybody who takes part in the demo, each with folders and variables of their own.

    Attributes:
        market: the running market.
        report: where claims are counted.
        publisher: the publisher's shell; its environment holds the author's tools.
        reviewer: the reviewer's shell.
        user: the user's shell; its environment holds the host alone.
        folder: the demo's working folder.
        tier: how strongly plugins can be confined on this machine.
    """

    market: Market
    report: Report
    publisher: Shell
    reviewer: Shell
    user: Shell
    folder: Path
    tier: str

    def sources(self, name: str) -> Path:
        """Return the publisher's copy of an example."""
        return self.folder / Path(name).name


def run_journey(journey: Journey) -> None:
    """Make every claim in turn."""
    sign_up(journey)
    for name in (*EXAMPLES, HOSTILE):
        copy_example(name, journey.folder)
        journey.publisher.must(
            "envcli", "plugin", "build", "--no-isolation", "--project", journey.sources(name)
        )
    upload_without_attestation(journey)
    upload_with_foreign_attestation(journey)
    publish_and_review(journey)
    unmodified_clients(journey)
    install_and_sync(journey)
    pip_beside_the_host(journey)
    hostile_plugin(journey)
    tampered_install(journey)
    catalog(journey)
    takedown(journey)


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    """Wait until something is so.

    Raises:
        DemoError: it was not within ``WAIT_SECONDS``.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.3)
    raise DemoError(f"{what} did not happen within {WAIT_SECONDS} s")


def wheel_of(journey: Journey, name: str) -> Path:
    """Return the one wheel that was built of an example."""
    (wheel,) = (journey.sources(name) / "dist").glob("*.whl")
    return wheel


def state_of(journey: Journey, name: str) -> str:
    """Return where a release stands, as the public evidence page tells it."""
    ran = journey.publisher.run("envcli", "plugin", "status", "--project", journey.sources(name), "--json")
    return str(json.loads(ran.output).get("state", "")) if ran.status == 0 else ""


def sign_up(journey: Journey) -> None:
    """Make the publisher's account, profile and token on the site, and let publisher and user know the index."""
    visitor = Visitor(journey.market.web)
    visitor.submit("/account/sign-up", username="acme", password=PASSWORD)
    visitor.submit("/portal", name="Acme Tools")
    journey.publisher.variables["ENVCLI_TOKEN"] = visitor.new_token("demo")
    pin = ("envcli", "index", "add", journey.market.public, "--root-sha256", journey.market.root_sha256)
    for shell in (journey.publisher, journey.user):
        shell.must(*pin)


def upload_without_attestation(journey: Journey) -> None:
    """A wheel that nobody signed is refused."""
    ran = twine(journey, wheel_of(journey, AWS))
    holds = ran.status != 0 and ran.shows("attestation-missing")
    journey.report.claim("an upload without attestation is refused", ran, holds, ["attestation-missing"])


def upload_with_foreign_attestation(journey: Journey) -> None:
    """A wheel with the attestation of another file is refused."""
    journey.publisher.must("envcli", "plugin", "sign", "--project", journey.sources(RULE))
    borrowed = journey.folder / "borrowed"
    borrowed.mkdir()
    wheel = Path(shutil.copy(wheel_of(journey, AWS), borrowed))
    other = wheel_of(journey, RULE)
    shutil.copy(f"{other}.publish.attestation", f"{wheel}.publish.attestation")
    ran = twine(journey, "--attestations", wheel, f"{wheel}.publish.attestation")
    holds = ran.status != 0 and ran.shows("attestation-subject-mismatch")
    journey.report.claim(
        "an upload with another file's attestation is refused", ran, holds, ["attestation-subject-mismatch"]
    )


def twine(journey: Journey, *arguments: str | Path) -> Ran:
    """Upload with unmodified twine; the token stands in a variable, never in an argument."""
    token = journey.publisher.variables["ENVCLI_TOKEN"]
    extra = {"TWINE_USERNAME": "__token__", "TWINE_PASSWORD": token, "TWINE_NON_INTERACTIVE": "1"}
    url = f"{journey.market.devpi}/upload/"
    return journey.publisher.run(
        "twine",
        "upload",
        "--verbose",
        "--disable-progress-bar",
        "--repository-url",
        url,
        *arguments,
        extra=extra,
    )


def publish(journey: Journey, name: str) -> Ran:
    """Sign and upload what was built of an example."""
    return journey.publisher.run("envcli", "plugin", "publish", "--project", journey.sources(name))


def publish_and_review(journey: Journey) -> None:
    """Publish, wait for the checks, look at the observations, decide with an enrolled key, wait for the gate."""
    shell, report = journey.publisher, journey.report
    for name in EXAMPLES:
        ran = publish(journey, name)
        report.claim(f"{name} is signed and staged", ran, ran.status == 0)
    page = f"{journey.market.public}/simple/{AWS}/"
    ran = shell.fetch(page)
    report.claim("a staged release is invisible to users", ran, ran.status != 0 and "404" in ran.output)
    for name in EXAMPLES:
        wait_for(f"vetting of {name}", lambda name=name: state_of(journey, name) == "needs-human")  # type: ignore[misc]
    ran = shell.run("envcli", "plugin", "status", "--project", journey.sources(AWS))
    report.claim("the observations are listed", ran, ran.status == 0 and ran.shows("needs-human"), [r"."])
    decide(journey)
    for name in EXAMPLES:
        wait_for(f"release of {name}", lambda name=name: state_of(journey, name) == "released")  # type: ignore[misc]
    url = f"{journey.market.public}/statements/{AWS}/0.1.0/vsa.dsse.json"
    ran = shell.fetch(url)
    report.claim("the gate signed a VSA and promoted", ran, ran.status == 0 and ran.shows("signatures"))


def decide(journey: Journey) -> None:
    """Enrol the reviewer's key and approve both releases with it."""
    key = journey.folder / "reviewer.pem"
    data = journey.market.data / "index"
    journey.reviewer.must("envcli-index", "reviewer", "keygen", "--out", key)
    journey.reviewer.must("envcli-index", "enrol", "--data", data, "--name", "Rita", "--public", f"{key}.pub")
    approval = ("--approve", "--reason", "read the source and the observations")
    for name in EXAMPLES:
        where = ("--server", journey.market.public, "--key", key)
        ran = journey.reviewer.run("envcli-index", "decide", *where, f"{name}==0.1.0", *approval)
        journey.report.claim(f"a reviewer approves {name} with an enrolled key", ran, ran.status == 0)


def unmodified_clients(journey: Journey) -> None:
    """pip, uv and the sigstore command know nothing of envcli."""
    simple = f"{journey.market.public}/simple/"
    clean = {"PIP_CONFIG_FILE": "/dev/null", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    ran = journey.publisher.run(
        sys.executable, "-m", "pip", "install", "--isolated", "--index-url", simple, "--target",
        journey.folder / "by-pip", AWS, extra=clean,
    )  # fmt: skip
    journey.report.claim(
        "unmodified pip installs from the index", ran, ran.status == 0, ["Successfully installed"]
    )
    ran = journey.publisher.run(
        sys.executable, "-m", "uv", "pip", "install", "--no-config", "--default-index", simple, "--python",
        sys.executable, "--target", journey.folder / "by-uv", AWS,
    )  # fmt: skip
    journey.report.claim("unmodified uv installs from the index", ran, ran.status == 0, [r"^ \+ envcli"])
    sigstore(journey)


def sigstore(journey: Journey) -> None:
    """The sigstore command verifies the wheel by the bundle and the trust configuration that the index serves."""
    wheel = wheel_of(journey, AWS)
    base = journey.market.public
    record = json.loads(journey.publisher.fetch(f"{base}/projects/{AWS}.json").output)
    bundle, config = journey.folder / "bundle.json", journey.folder / "trust-config.json"
    place = f"{base}/integrity/{AWS}/0.1.0/{wheel.name}"
    journey.publisher.fetch(f"{place}/publish.sigstore.json", bundle)
    journey.publisher.fetch(f"{base}/trust/client-trust-config.json", config)
    ran = journey.publisher.run(
        "sigstore", "--trust-config", config, "verify", "identity", "--offline", "--bundle", bundle,
        "--cert-identity", record["publisher"]["identity"], "--cert-oidc-issuer", record["publisher"]["issuer"], wheel,
    )  # fmt: skip
    journey.report.claim("the unmodified sigstore command accepts the wheel", ran, ran.status == 0, ["OK"])


def install_and_sync(journey: Journey) -> None:
    """Install with consent, then move secrets from a real AWS API through the sandbox."""
    user, report = journey.user, journey.report
    ran = user.run("envcli", "plugin", "search", "secrets")
    report.claim("the plugin is found by search", ran, ran.status == 0 and ran.shows(AWS), [AWS])
    ran = user.run("envcli", "plugin", "install", AWS, "--yes", "--allow-risk", "low")
    report.claim("a script that allows only low risk installs nothing", ran, ran.status != 0)
    ran = user.run("envcli", "plugin", "install", AWS, "--yes", "--allow-risk", "high")
    shown = ran.shows("Acme Tools", "PASSED|approved", "network:connect")
    report.claim("identity, verdict and permissions are shown", ran, ran.status == 0 and shown, [r"."])
    user.must("envcli", "init")
    moto(journey)
    ran = user.run("envcli", "sync", "aws-sm:prod", "prod", "--yes")
    report.claim("secrets come from AWS Secrets Manager through the sandbox", ran, ran.status == 0, [r"."])
    ran = user.run("envcli", "get", "DATABASE_PASSWORD", "-e", "prod")
    report.claim("the secret has arrived", ran, ran.output.strip() == "s3cr3t, from the cloud")


def moto(journey: Journey) -> None:
    """Put a secret into the AWS API that moto serves, and point the plugin at it."""
    import boto3

    endpoint = journey.user.variables["DEMO_AWS"]
    client = boto3.client(
        "secretsmanager", region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="demo",
        aws_secret_access_key="demo",
    )  # fmt: skip
    client.create_secret(Name="env-cli/prod/DATABASE_PASSWORD", SecretString="s3cr3t, from the cloud")
    values = (f"endpoint_url={endpoint}", "access_key_id=demo", "--secret", "secret_access_key")
    consent = ("--yes", "--allow-risk", "high")
    journey.user.must("envcli", "plugin", "configure", AWS, *values, *consent, stdin="demo\n")


def pip_beside_the_host(journey: Journey) -> None:
    """A plugin that arrived by plain pip is only a pointer; what runs is the copy that the host verified itself."""
    simple = f"{journey.market.public}/simple/"
    user = journey.user
    user.must("pip", "install", "--isolated", "--quiet", "--index-url", simple, RULE)
    ran = user.run("envcli", "plugin", "list")
    report = journey.report
    report.claim(
        "a plugin installed by pip is listed, and not run", ran, ran.shows(RULE, "pip only: not run")
    )
    user.must("envcli", "plugin", "install", RULE, "--yes", "--allow-risk", "high")
    site = next((user.programs[0].parent / "lib").glob("python*/site-packages/envcli_plugin_url_credentials"))
    planted = journey.folder / "planted"
    for module in site.rglob("*.py"):
        module.write_text(f"open({str(planted)!r}, 'w').close()\n" + module.read_text())
    user.must("envcli", "set", "DATABASE_URL", "-e", "dev", stdin="postgres://u:hunter2@db/x")
    ran = user.run("envcli", "validate", "-e", "dev")
    holds = ran.shows("password") and not planted.exists()
    report.claim("envcli runs only the copy that it fetched and verified", ran, holds, ["password"])


def hostile_plugin(journey: Journey) -> None:
    """A hostile plugin is refused by vetting; linked by hand, every attempt is denied and audited."""
    name = Path(HOSTILE).name
    report = journey.report
    ran = publish(journey, HOSTILE)
    holds = ran.status != 0 and ran.shows("permission-undeclared", "nothing was signed")
    report.claim("the publisher's own tool refuses the hostile plugin first", ran, holds, ["would refuse"])
    journey.publisher.must("envcli", "plugin", "sign", "--project", journey.sources(HOSTILE))
    dist = journey.sources(HOSTILE) / "dist"
    files = [path for path in sorted(dist.iterdir()) if path.suffix in {".whl", ".gz", ".attestation"}]
    twine(journey, "--attestations", *files)
    wait_for("vetting of the hostile plugin", lambda: state_of(journey, name) in {"rejected", "needs-human"})
    ran = journey.publisher.run("envcli", "plugin", "status", "--project", journey.sources(name))
    report.claim(
        "the hostile plugin is refused by vetting", ran, ran.shows("rejected", "undeclared"), ["undeclared"]
    )
    ran = journey.user.run(
        "envcli", "plugin", "dev", journey.sources(HOSTILE), "--yes", "--allow-risk", "high"
    )
    report.claim("linked from a folder it is marked unverified", ran, ran.shows("unverified"))
    ran = journey.user.run("envcli", "attack")
    holds = ran.shows("denied") and not ran.shows("succeeded|got through")
    report.claim(f"every attempt is denied ({journey.tier} tier)", ran, holds, [r"."])
    ran = journey.user.run("envcli", "audit", "show", "--plugin", "hostile", "--denied")
    holds = all(ran.shows(attempt) for attempt in ATTEMPTS)
    report.claim("and stands in the audit log", ran, holds, ["denied"])


def tampered_install(journey: Journey) -> None:
    """One byte of an installed plugin is changed, and changed back."""
    store = Path(journey.user.variables["ENVCLI_HOME"])
    module = next(path for path in store.rglob("envcli_plugin_aws_secrets/*.py") if path.stat().st_size)
    original, mode = module.read_bytes(), module.stat().st_mode
    module.parent.chmod(0o755)
    module.chmod(0o644)
    module.write_bytes(bytes([original[0] ^ 1]) + original[1:])
    ran = journey.user.run("envcli", "sync", "aws-sm:prod", "prod", "--yes")
    journey.report.claim("one changed byte and the plugin does not run", ran, ran.status != 0, ["error"])
    module.write_bytes(original)
    module.chmod(mode)


def catalog(journey: Journey) -> None:
    """The site shows the plugin, who made it, its verdict and what it asks for."""
    url = f"{journey.market.web}/plugins/{AWS}"
    wait_for("the catalog", lambda: journey.user.fetch(url).status == 0)
    ran = journey.user.fetch(url)
    holds = ran.shows(
        "Acme Tools", "network:connect", "envcli plugin install", r"0\.1\.0", "approved|passed|vetted"
    )
    shown = [
        "envcli plugin install",
        "Acme Tools",
        "<h1>",
        "<dt>Verdict",
        "<dt>Reviewed by",
        "<code>network:connect",
    ]
    journey.report.claim("the catalog page shows all of it", ran, holds, shown)


def takedown(journey: Journey) -> None:
    """A takedown reaches the host at its next refresh, and says why."""
    key = journey.folder / "reviewer.pem"
    why = ("--reason", "steals what it validates", "--severity", "critical")
    where = ("--server", journey.market.public, "--key", key)
    journey.reviewer.must("envcli-index", "takedown", *where, f"{RULE}==0.1.0", *why)
    page = f"{journey.market.public}/simple/{RULE}/"
    wait_for("the takedown", lambda: ".whl" not in journey.user.fetch(page).output)
    journey.user.must("envcli", "index", "refresh")
    ran = journey.user.run("envcli", "validate", "-e", "dev")
    holds = ran.status != 0 and ran.shows("steals what it validates")
    journey.report.claim("after a takedown the host refuses to run it and says why", ran, holds, ["steals"])
    url = f"{journey.market.web}/plugins/{RULE}"
    wait_for("the takedown on the site", lambda: journey.user.fetch(url).shows("Taken down"))
    ran = journey.user.fetch(url)
    holds = ran.shows("steals what it validates", "severity: critical", "ENVCLI-TD-", "can appeal")
    journey.report.claim(
        "and the site says why, and who can appeal", ran, holds, ["steals", "severity:", "appeal"]
    )
