"""Attestations in devpi: a reflink beside the file, so that it replicates with it; promotion carries it over.

devpi's own push and export drop reflinks of foreign kinds, which is why promotion copies them here.
"""

from typing import Any

REL = "attestation"


def attach(store: Any, link: Any, provenance: bytes) -> None:
    """Keep a provenance object beside a release file; a second call changes nothing.

    Args:
        store: devpi's mutable link store of the version.
        link: devpi's link of the file.
        provenance: from ``provenance_object``.
    """
    if not store.get_links(rel=REL, for_entrypath=link):
        store.new_reflink(
            rel=REL, content_or_file=provenance, for_entrypath=link, filename=f"{link.basename}.provenance"
        )


def read(store: Any, link: Any) -> bytes:
    """Return the provenance object of a release file.

    Args:
        store: devpi's link store of the version.
        link: devpi's link of the file.

    Raises:
        LookupError: there is none.
    """
    links = store.get_links(rel=REL, for_entrypath=link)
    if not links:
        raise LookupError(f"{link.basename} has no attestation")
    content: bytes = links[0].entry.file_get_content()
    return content
