"""Publish a release to an index and follow it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from envcli_host.config import HostPaths
from envcli_host.marketplace.indexes import IndexRecord, parse_url, select_indexes
from envcli_host.marketplace.transport import MissingFileError, Transport
from envcli_host.marketplace.trust import refresh
from envcli_host.workshop.building import release_files
from envcli_host.workshop.credentials import ApiToken
from envcli_host.workshop.errors import UploadError, WorkshopError
from envcli_host.workshop.linting import require_lint
from envcli_host.workshop.project import PluginProject
from envcli_host.workshop.signing import sign_release
from envcli_host.workshop.uploading import load_upload, upload_file

UPLOAD_VARIABLE = "ENVCLI_UPLOAD_URL"
INDEX_TARGET = "trust/index.json"
STATUS_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True)
class Market:
    """An index as its pinned root of trust describes it.

    Attributes:
        index: name and address.
        trust_config: sigstore's ``ClientTrustConfig`` (JSON), verified through TUF.
        upload_url: where releases are uploaded, or "" when neither user nor index names an address.
    """

    index: IndexRecord
    trust_config: str
    upload_url: str


def find_market(paths: HostPaths, index_name: str | None, upload_url: str | None = None) -> Market:
    """Refresh the trust of one index and learn where to sign and upload.

    Args:
        index_name: which index; may be None when only one is configured.
        upload_url: upload address given by the user; else ``ENVCLI_UPLOAD_URL``, else what the index signs.

    Raises:
        WorkshopError: several indexes are configured and none is chosen, or the index signs a malformed address.
        MarketplaceError: the index or its trust cannot be used.
    """
    index = _choose_index(paths, index_name)
    with Transport(index.url, f"index {index.name}") as transport:
        trust = refresh(index, paths, transport)
        signed = trust.target(INDEX_TARGET)
    stated = upload_url or os.environ.get(UPLOAD_VARIABLE, "") or _signed_address(signed, index)
    return Market(index, trust.client_trust_config.decode(), parse_url(stated) if stated else "")


def _signed_address(target: bytes | None, index: IndexRecord) -> str:
    """Return the address for uploads that the index signs, or "" if it signs none."""
    if target is None:
        return ""
    try:
        document = json.loads(target)
    except ValueError:
        document = None
    address = document.get("upload_url") if isinstance(document, dict) else None
    if not isinstance(document, dict) or document.get("version") != 1 or not isinstance(address, str):
        raise WorkshopError(
            f"index {index.name} signs a {INDEX_TARGET} that cannot be read",
            remedy="Update envcli, or report it to the index' operator",
        )
    return address


def sign(
    project: PluginProject, market: Market, token: ApiToken, progress: Callable[[str], None]
) -> list[str]:
    """Sign the release; return the names of the attestation files."""
    return [path.name for path in sign_release(project, token, market.trust_config, progress)]


def publish(project: PluginProject, market: Market, token: ApiToken, progress: Callable[[str], None]) -> str:
    """Check, sign and upload the release: the wheel first, since most rules are about it.

    Nothing enters the transparency log before the index' own checks passed on this machine.

    Returns:
        Where the state of the release can be read.

    Raises:
        WorkshopError: the index would refuse the release, or its address for uploads is unknown.
        UploadError: the index refused a file; the message ends with its rule id.
    """
    if not market.upload_url:
        raise UploadError(
            f"index {market.index.name} needs an upload address",
            remedy=f"It states none; ask its operator, and give --upload-url or {UPLOAD_VARIABLE}",
        )
    files = release_files(project)
    progress(f"checking {project.name} {project.version} as the index will")
    require_lint(files)
    sign(project, market, token, progress)
    for file in [load_upload(path) for path in files]:
        progress(f"uploading {file.path.name}")
        upload_file(file, market.upload_url, token)
    return status_url(market.index, project)


def status_url(index: IndexRecord, project: PluginProject) -> str:
    """Return where the index publishes state and observations of the release."""
    return index.url + _status_path(project)


def read_status(project: PluginProject, paths: HostPaths, index_name: str | None) -> dict[str, Any]:
    """Return the public state of the release with the observations of vetting.

    Raises:
        WorkshopError: the index does not know the release, or answers nonsense.
    """
    index = _choose_index(paths, index_name)
    with Transport(index.url, f"index {index.name}") as transport:
        try:
            document = json.loads(transport.read(_status_path(project), STATUS_LIMIT))
        except MissingFileError as error:
            raise WorkshopError(
                f"index {index.name} does not know {project.name} {project.version}",
                remedy="Publish it, or wait until the index has accepted the upload",
            ) from error
        except ValueError as error:
            raise WorkshopError(f"index {index.name} answers a malformed status: {error}") from error
    if not isinstance(document, dict):
        raise WorkshopError(f"index {index.name} answers a malformed status: no object")
    return document


def _status_path(project: PluginProject) -> str:
    return f"vetting/{project.name}/{project.version}.json"


def _choose_index(paths: HostPaths, name: str | None) -> IndexRecord:
    found = select_indexes(paths, name)
    if len(found) != 1:
        names = ", ".join(index.name for index in found)
        raise WorkshopError("several indexes are configured", remedy=f"Choose one with --index: {names}")
    return found[0]
