"""The addresses that an index states about itself, signed as a target of its trust metadata."""

import json

from envcli_index.config import IndexConfig

INDEX_TARGET = "trust/index.json"


def index_document(config: IndexConfig) -> bytes:
    """Return the content of ``trust/index.json``: where publishers upload, and which site issues their tokens."""
    addresses = {"upload_url": f"{config.devpi_url}/upload/", "web_url": config.web_url}
    return json.dumps({"version": 1, **addresses}, sort_keys=True).encode()
