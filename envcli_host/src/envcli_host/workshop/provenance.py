"""SLSA provenance (https://slsa.dev/spec/v1.0/provenance) of a build, from its record."""

from typing import Any

from envcli_host.workshop.building import BuildRecord

BUILD_TYPE = "https://envcli.dev/buildtypes/python-build/v1"
WORKSTATION = "https://envcli.dev/builders/workstation/v1"
"""Identity of a build on the author's own machine: SLSA Build level 1, the author is believed."""


def provenance_predicate(record: BuildRecord) -> dict[str, Any]:
    """Return the SLSA provenance v1 predicate that ``record`` supports, and nothing it does not."""
    source = [_source_descriptor(record)] if record.revision and record.revision.address else []
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "source": source[0] if source else None,
                "sourceIsClean": record.revision.clean if record.revision else None,
            },
            "internalParameters": {"SOURCE_DATE_EPOCH": record.epoch, "python": record.python},
            "resolvedDependencies": [
                *source,
                *(
                    {"name": requirement, "annotations": {"kind": "build-system.requires"}}
                    for requirement in record.backend
                ),
            ],
        },
        "runDetails": {
            "builder": {"id": WORKSTATION},
            "metadata": {"startedOn": record.started, "finishedOn": record.finished},
        },
    }


def _source_descriptor(record: BuildRecord) -> dict[str, Any]:
    revision = record.revision
    if revision is None:
        return {}
    return {"uri": f"git+{revision.address}@{revision.commit}", "digest": {"gitCommit": revision.commit}}
