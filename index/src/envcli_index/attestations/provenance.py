"""The provenance object of a file: the publisher's attestations with the publisher whom the index vouches
for.

Source: PEP 740, provenance objects (https://peps.python.org/pep-0740/#provenance-objects).
"""

import json
from typing import Any

PUBLISHER_KIND = "envcli"


def provenance_object(attestations: str, *, publisher: str, identity: str, issuer: str) -> bytes:
    """Return the provenance object as JSON.

    Args:
        attestations: the PEP 740 list as uploaded.
        publisher: uuid of the publisher.
        identity: URI that the certificates name.
        issuer: who vouched for the identity when the certificate was issued.
    """
    bundle: dict[str, Any] = {
        "publisher": {"kind": PUBLISHER_KIND, "uuid": publisher, "identity": identity, "issuer": issuer},
        "attestations": json.loads(attestations),
    }
    document = {"version": 1, "attestation_bundles": [bundle]}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
