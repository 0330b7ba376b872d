"""The first run: ports, keys, databases and the trust root."""

import hashlib
import socket
import subprocess
import time
from pathlib import Path

from envcli_web.errors import ConfigurationError, WebError
from envcli_web.market.parts import program
from envcli_web.market.settings import FILE_NAME, SERVERS, MarketSettings

INIT_SECONDS = 300
LAST_PORT = 65535


class SetupError(WebError):
    """A part could not be initialised."""


def is_free(host: str, port: int) -> bool:
    """Return whether nobody listens on the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _random_ports(host: str) -> dict[str, int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probes = [socket.socket(family, socket.SOCK_STREAM) for _ in SERVERS]
    try:
        for probe in probes:
            probe.bind((host, 0))
        return {name: int(probe.getsockname()[1]) for name, probe in zip(SERVERS, probes, strict=True)}
    finally:
        for probe in probes:
            probe.close()


def choose_settings(data: Path, host: str, port_base: int | None) -> MarketSettings:
    """Return the settings in ``data``; on the first run choose some, which are not written yet.

    Args:
        data: directory of the marketplace.
        host: loopback address to listen on.
        port_base: first of five consecutive ports, 0 for random ones, None for the default or the present ones.

    Raises:
        ConfigurationError: the marketplace has other ports already: its URLs cannot change any more.
    """
    if (data / FILE_NAME).exists():
        settings = MarketSettings.load(data)
        if port_base and port_base != settings.ports[SERVERS[0]]:
            raise ConfigurationError(
                f"The marketplace in {data} uses port {settings.ports[SERVERS[0]]}; its identities contain that URL",
                remedy="Leave --port-base out, or start a new marketplace in another directory",
            )
        return settings
    base = 4040 if port_base is None else port_base
    if not 0 <= base <= LAST_PORT - len(SERVERS):
        raise ConfigurationError(
            f"{base} is not a usable first port", remedy="Use one between 1024 and 65000, or 0"
        )
    ports = {name: base + at for at, name in enumerate(SERVERS)} if base else _random_ports(host)
    return MarketSettings(data=data.absolute(), host=host, ports=ports)


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{what} could not be initialised: {error}") from error
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise SetupError(f"{what} could not be initialised: {lines[-1] if lines else 'it gave no reason'}")


def initialise(settings: MarketSettings, first_party: Path | None, upstream_index: str | None) -> bool:
    """Initialise what was not initialised yet; an interrupted first run is completed by the next.

    Args:
        settings: where the parts are.
        first_party: directory of the project's own wheels, for plugins' dependencies.
        upstream_index: index that third-party dependencies are resolved from.

    Returns:
        Whether anything had to be done.

    Raises:
        SetupError: a part failed.
    """
    marker = settings.data / ".initialised"
    if marker.exists():
        return False
    index = [program("envcli-index"), "init", "--data", str(settings.index)]
    for name in SERVERS:
        index += [f"--{name}-url", settings.url(name)]
    if first_party is not None:
        index += ["--first-party", str(first_party.absolute())]
    if upstream_index:
        index += ["--upstream-index", upstream_index]
    _run(index, "The index")
    web = [program("envcli-web"), "init", "--data", str(settings.web), "--url", settings.url("web")]
    web += ["--index-url", settings.url("public"), "--upload-url", f"{settings.url('devpi')}/upload"]
    web += ["--index-root-sha256", root_fingerprint(settings)]
    _run(web, "The site")
    marker.touch(mode=0o600)
    return True


def wait_for_ports(settings: MarketSettings, seconds: float = 12.0) -> None:
    """Wait until the ports are free: children of a supervisor that was killed take a moment to end.

    Raises:
        ConfigurationError: another program has one.
    """
    deadline = time.monotonic() + seconds
    for name in SERVERS:
        while not is_free(settings.host, settings.ports[name]):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"Port {settings.ports[name]} ({name}) is in use", remedy="Stop the program that uses it"
                )
            time.sleep(0.2)


def root_fingerprint(settings: MarketSettings) -> str:
    """Return the SHA-256 of the first TUF root, which users pin.

    Raises:
        SetupError: there is no root.
    """
    try:
        return hashlib.sha256(settings.root_metadata.read_bytes()).hexdigest()
    except OSError as error:
        raise SetupError(f"The trust root is missing: {error}") from error


def admin_code(settings: MarketSettings) -> Path | None:
    """Make a one-time code where no administrator exists, and return its file.

    Raises:
        SetupError: the site refused.
    """
    _run([program("envcli-web"), "admin-code", "--data", str(settings.web), "--unless-claimed"], "The site")
    path = settings.web / "admin-code"
    return path if path.exists() else None
