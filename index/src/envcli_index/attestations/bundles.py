"""A publish attestation in the form that Sigstore's own clients read.

PEP 740 stores less than a bundle; `pypi_attestations` restores one, whose certificate, signature and log
entry are the same. It is served beside the provenance object so that ``sigstore verify identity`` needs no
tool of ours.
"""

import base64
import json


def publish_bundle(attestations: str) -> bytes | None:
    """Return the publish attestation of a file as a Sigstore bundle.

    Args:
        attestations: the PEP 740 list as uploaded.

    Returns:
        The bundle as JSON, or ``None`` where the list holds no publish attestation.
    """
    from pypi_attestations import Attestation, AttestationType

    for entry in json.loads(attestations):
        attestation = Attestation.model_validate(entry)
        statement = json.loads(base64.b64decode(entry["envelope"]["statement"]))
        if statement["predicateType"] == AttestationType.PYPI_PUBLISH_V1:
            return attestation.to_bundle().to_json().encode()
    return None
