"""Reading the evidence about releases from the index."""

import base64
import hashlib
import json
import shlex
from dataclasses import dataclass
from typing import Any

from envcli_policy.statements import CAPABILITY
from flask import current_app

from envcli_web.catalog.index_client import NAME, IndexClient, IndexUnusableError
from envcli_web.catalog.permissions import PermissionLine, permission_lines
from envcli_web.config import WebConfig
from envcli_web.errors import NotFoundError

SEVERITIES = ("error", "review", "warning", "note")


@dataclass(frozen=True)
class Evidence:
    """Everything about one release that a reviewer decides on."""

    project: str
    version: str
    state: str
    release: dict[str, Any]
    observations: list[dict[str, Any]]
    permissions: list[PermissionLine]
    capability: dict[str, Any]
    files: list[dict[str, Any]]
    statements: list[dict[str, Any]]
    approve: str
    reject: str

    @property
    def undeclared(self) -> list[str]:
        """Permissions that the code was seen to need but the manifest does not ask for."""
        return [str(item) for item in self.capability.get("undeclared") or []]

    @property
    def unused(self) -> list[str]:
        """Permissions that the manifest asks for but the code was not seen to need."""
        return [str(item) for item in self.capability.get("unused") or []]


def _client() -> IndexClient:
    config: WebConfig = current_app.extensions["envcli_config"]
    return IndexClient(config.index_url, current_app.extensions.get("envcli_index_transport"))


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def list_queue() -> list[dict[str, Any]]:
    """Return the releases in vetting as the index publishes them.

    Raises:
        IndexUnusableError: the index does not answer.
    """
    with _client() as client:
        found = client.vetting_queue()
    if isinstance(found, dict):
        found = found.get("releases") or found.get("queue")
    return _dicts(found)


def decide_command(project: str, version: str, verdict: str) -> str:
    """Return the command with which an enrolled reviewer signs a decision."""
    config: WebConfig = current_app.extensions["envcli_config"]
    server = config.upload_url.removesuffix("/upload") or config.index_url
    parts = [
        "envcli-index",
        "decide",
        "--server",
        server,
        "--key",
        "reviewer.pem",
        f"{project}=={version}",
        verdict,
    ]
    return f"{shlex.join(parts)} --reason 'why'"


def _capability(
    client: IndexClient, project: str, version: str, statements: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return what the newest capability statement says; hosts and the gate verify its signature, this page shows it."""
    listed = [item for item in statements if item.get("predicateType") == CAPABILITY]
    if not listed:
        return {}
    raw = client.statement(project, version, str(listed[-1].get("name")))
    if raw is None or hashlib.sha256(raw).hexdigest() != listed[-1].get("sha256"):
        raise IndexUnusableError(
            f"The capability statement of {project} {version} is missing or was replaced"
        )
    try:
        predicate = json.loads(base64.b64decode(json.loads(raw)["payload"], validate=True))["predicate"]
    except (ValueError, KeyError, TypeError) as error:
        raise IndexUnusableError(f"The capability statement of {project} {version} is garbled") from error
    return predicate if isinstance(predicate, dict) else {}


def read_evidence(project: str, version: str) -> Evidence:
    """Return the evidence about one release.

    Raises:
        IndexUnusableError: the index does not answer.
        NotFoundError: it knows no such release.
    """
    if not NAME.fullmatch(project):
        raise NotFoundError(f"{project[:80]!r} is not a normalized project name")
    with _client() as client:
        found = client.vetting(project, version)
        if not isinstance(found, dict):
            raise NotFoundError(f"The index has no evidence about {project} {version}")
        statements = _dicts(found.get("statements"))
        capability = _capability(client, project, version, statements)
    manifest = found.get("manifest")
    observations = _dicts(found.get("observations"))
    return Evidence(
        project=project,
        version=version,
        state=str(found.get("state", "unknown")),
        release=found,
        observations=sorted(observations, key=_severity),
        permissions=permission_lines(manifest if isinstance(manifest, dict) else {}),
        capability=capability,
        files=_dicts(found.get("files")),
        statements=statements,
        approve=decide_command(project, version, "--approve"),
        reject=decide_command(project, version, "--reject"),
    )


def _severity(observation: dict[str, Any]) -> int:
    name = str(observation.get("severity", "")).lower()
    return SEVERITIES.index(name) if name in SEVERITIES else 0
