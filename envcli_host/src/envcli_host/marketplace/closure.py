"""Which of the vetted wheels a plugin needs on this machine, resolved without running any code.

The resolver sees an index that holds nothing but the files of the signed closure, so whatever it chooses was
vetted with this release, and no other name or version can slip in.
"""

import os
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from email.parser import BytesParser
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from envcli_host.config import HostPaths
from envcli_host.errors import OfferNotFoundError, VerificationError
from envcli_host.files import write_atomically
from envcli_host.marketplace.catalog import PREFIX
from envcli_host.marketplace.model import OfferFile

RESOLVE_SECONDS = 120
_KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "NO_PROXY",
)


def split_requirements(core_metadata: bytes, project: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a wheel needs here: requirements on other plugins, and requirements on libraries.

    Args:
        core_metadata: the wheel's METADATA.
        project: whose it is, for messages.

    Raises:
        VerificationError: a Requires-Dist is malformed or names a direct URL.
    """
    message = BytesParser().parsebytes(core_metadata, headersonly=True)
    plugins: list[str] = []
    libraries: list[str] = []
    for line in message.get_all("Requires-Dist") or ():
        try:
            requirement = Requirement(str(line))
            needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName) as error:
            raise VerificationError(f"{project} has a malformed requirement: {error}") from error
        if requirement.url:
            raise VerificationError(
                f"{project} requires {requirement.name} from a direct address, which is not vetted"
            )
        if needed:
            requirement.marker = None
            group = plugins if canonicalize_name(requirement.name).startswith(PREFIX) else libraries
            group.append(str(requirement))
    return tuple(plugins), tuple(libraries)


def best_wheel(files: Iterable[OfferFile]) -> OfferFile | None:
    """Return the wheel this interpreter prefers, or None if none fits."""
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    fitting = []
    for file in files:
        try:
            tags = parse_wheel_filename(file.filename)[3]
        except InvalidWheelFilename:
            continue
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if rank is not None:
            fitting.append((rank, file.filename, file))
    return min(fitting)[2] if fitting else None


def resolve_closure(
    requirements: tuple[str, ...], vetted: tuple[OfferFile, ...], label: str, key: str, paths: HostPaths
) -> tuple[OfferFile, ...]:
    """Return the wheels of ``vetted`` that satisfy ``requirements`` on this Python and platform.

    Args:
        requirements: of the plugin, markers already evaluated.
        vetted: every file of the signed closure.
        label: whose requirements they are, for messages.
        key: digest that stands for ``vetted``; names the resolver's private index.
        paths: where caches live.

    Raises:
        OfferNotFoundError: they cannot be satisfied from the closure here.
    """
    if not requirements:
        return ()
    index = _write_index(vetted, paths.cache / "closures" / key)
    lock = _compile(requirements, index, label, paths)
    by_digest = {(file.filename, file.sha256): file for file in vetted}
    return tuple(_locked_wheel(package, by_digest, label) for package in lock.get("packages", ()))


def _write_index(vetted: tuple[OfferFile, ...], directory: Path) -> Path:
    pages: dict[str, list[str]] = defaultdict(list)
    for file in vetted:
        try:
            name = str(parse_wheel_filename(file.filename)[0])
        except InvalidWheelFilename as error:
            raise VerificationError(
                f"the closure lists {file.filename[:200]!r}, which is no wheel"
            ) from error
        target = f"{escape(file.url)}#sha256={file.sha256}"
        pages[name].append(f'<a href="{target}" data-core-metadata="true">{escape(file.filename)}</a><br>')
    for name, links in pages.items():
        page = "<!DOCTYPE html><html><body>\n" + "\n".join(links) + "\n</body></html>\n"
        write_atomically(directory / name / "index.html", page.encode())
    return directory


def _compile(requirements: tuple[str, ...], index: Path, label: str, paths: HostPaths) -> Mapping[str, Any]:
    import uv

    command = [
        *(uv.find_uv_bin(), "pip", "compile", "-", "--format", "pylock.toml", "--quiet", "--no-config"),
        *("--no-header", "--only-binary", ":all:", "--no-sources", "--python", sys.executable),
        *("--default-index", index.as_uri(), "--cache-dir", str(paths.cache / "uv"), "--color", "never"),
    ]
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    kept["NO_PROXY"] = ",".join(filter(None, (kept.get("NO_PROXY"), "127.0.0.1,localhost,::1")))
    paths.cache.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            command,
            input="\n".join(requirements).encode(),
            capture_output=True,
            env=kept,
            cwd=paths.cache,
            timeout=RESOLVE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OfferNotFoundError(
            f"the dependencies of {label} were not resolved in {RESOLVE_SECONDS} s", remedy="Try again"
        ) from error
    if done.returncode:
        raise OfferNotFoundError(
            f"the dependencies of {label} cannot be satisfied here: {_reason(done.stderr)}",
            remedy="Ask its publisher for a release that supports this Python and platform",
        )
    return tomllib.loads(done.stdout.decode())


def _reason(stderr: bytes) -> str:
    return (
        " ".join(stderr.decode(errors="replace").split())[:500].rstrip(".") or "the resolver gave no reason"
    )


def _locked_wheel(
    package: Mapping[str, Any], vetted: Mapping[tuple[str, str], OfferFile], label: str
) -> OfferFile:
    offered = []
    for wheel in package.get("wheels", ()):
        filename = unquote(urlsplit(str(wheel["url"])).path.rpartition("/")[2])
        file = vetted.get((filename, str(wheel["hashes"]["sha256"])))
        if file is not None:
            offered.append(file)
    best = best_wheel(offered)
    if best is None:
        raise OfferNotFoundError(
            f"{label} needs {package.get('name')}, of which no vetted wheel fits this machine"
        )
    return best
