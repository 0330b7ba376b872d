"""What the gate asks of devpi over its internal routes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from envcli_index.config import IndexConfig
from envcli_index.credentials import read_token
from envcli_index.dependencies import DependencyWheel
from envcli_index.errors import IndexServiceError

TIMEOUT_SECONDS = 60.0


class DevpiError(IndexServiceError):
    """devpi could not be reached or refused."""


class DevpiClient:
    """Calls devpi with the bearer token of one process.

    Args:
        config: the index.
        holder: whose token to use, ``gate`` or ``worker``.
    """

    def __init__(self, config: IndexConfig, holder: str) -> None:
        token = read_token(config.credentials, holder)
        self._http = httpx.Client(
            base_url=config.devpi_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def staged(self, project: str, version: str, filename: str) -> bytes:
        """Return a staged file's bytes.

        Raises:
            DevpiError: devpi cannot be reached or has no such file.
        """
        return self._request("GET", f"/_/staged/{quote(project)}/{quote(version)}/{quote(filename)}").content

    def promote(self, publisher: str, project: str, version: str, files: Mapping[str, str]) -> None:
        """Copy files (SHA-256 by name) from the publisher's staging to its release index.

        Raises:
            DevpiError: devpi cannot be reached, or a file differs.
        """
        order = {"publisher": publisher, "project": project, "version": version, "files": dict(files)}
        self._request("POST", "/_/promote", json=order)

    def store_dependency(self, wheel: DependencyWheel) -> None:
        """Store a dependency wheel in the curated index.

        Raises:
            DevpiError: devpi cannot be reached, or holds another file of that name.
        """
        path = f"/_/deps/{quote(wheel.name)}/{quote(wheel.version)}/{quote(wheel.filename)}"
        self._request("POST", path, content=wheel.content, headers={"X-Content-SHA256": wheel.sha256})

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise DevpiError(f"devpi does not answer: {error}", remedy="Start envcli-index devpi") from error
        if response.status_code != HTTPStatus.OK:
            raise DevpiError(f"devpi refused {method} {path}: {response.text.strip()[:300]}")
        return response
