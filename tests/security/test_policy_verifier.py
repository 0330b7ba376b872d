"""Every way of tampering with a release is refused, each by the step that is there for it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from common.private_sigstore import PrivateSigstore
from common.signed_release import (
    DEPENDENCY,
    ISSUER,
    MANIFEST,
    NOW,
    PROJECT,
    PUBLISHER,
    VERSION,
    WHEEL,
    SignedRelease,
    key_ring,
    new_signer,
    pin,
    sha256,
)
from envcli_policy import attestation, verifier
from envcli_policy.errors import MalformedError, PolicyError
from envcli_policy.statements import VSA, SignatureError, Statement, Subject, sign_statement
from envcli_policy.verifier import FileDigest, verify_release
from envcli_policy.vetting import ReleaseState


@pytest.fixture(scope="session")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture
def release(sigstore: PrivateSigstore) -> SignedRelease:
    return SignedRelease(sigstore)


def test_an_honest_release_passes_and_tells_what_it_is(release: SignedRelease) -> None:
    verdict = verify_release(release.evidence(), release.trust(), NOW)

    assert verdict.publisher.identity == PUBLISHER["identity"]
    assert verdict.state is ReleaseState.RELEASED
    assert verdict.capability.manifest == MANIFEST
    assert verdict.reviewed_by == ("Rae",)
    assert [file.filename for file in verdict.closure] == [DEPENDENCY]


def test_a_yanked_release_still_verifies_for_those_who_pinned_it(release: SignedRelease) -> None:
    release.target["state"] = "yanked"
    assert verify_release(release.evidence(), release.trust(), NOW).state is ReleaseState.YANKED


def _set(part: str, path: str, value: Any) -> Callable[[SignedRelease], None]:
    def change(release: SignedRelease) -> None:
        document = getattr(release, part)
        *parents, last = path.split("/")
        for name in parents:
            document = document[name]
        document[last] = value

    return change


def _takedown(**named: Any) -> Callable[[SignedRelease], None]:
    entry = {"id": "t-1", "project": "other", "versions": [], "sha256": [], "reason": "steals keys",
             "severity": "critical", "issued": "2026-01-01T00:00:00Z", "advisory": None}  # fmt: skip
    return lambda release: release.takedowns.append(entry | named)


def _add_wheel(release: SignedRelease) -> None:
    release.subjects = (Subject("other-1.0-py3-none-any.whl", sha256(b"other")),)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_set("target", "state", "quarantined"), verifier.ReleaseRecordError),
        (_set("target", "state", "submitted"), verifier.ReleaseRecordError),
        (_set("target", "state", "great"), MalformedError),
        (_set("target", "version", "1.1"), verifier.ReleaseRecordError),
        (_set("target", "project", "envcli-plugin-other"), verifier.ReleaseRecordError),
        (_set("target", "files", {WHEEL: sha256(b"other")}), verifier.ReleaseRecordError),
        (_set("target", "files", {}), verifier.ReleaseRecordError),
        (_set("target", "project_uuid", "p-2"), verifier.VerdictError),
        (_set("target", "publisher/identity", f"{ISSUER}/publishers/mallory"), verifier.VerdictError),
        (_set("target", "publisher/issuer", "https://other.example"), verifier.VerdictError),
        (_takedown(project=PROJECT, versions=["*"]), verifier.TakenDownError),
        (_takedown(project=PROJECT, versions=[VERSION]), verifier.TakenDownError),
        (_takedown(sha256=[sha256(b"wheel")]), verifier.TakenDownError),
        (_takedown(sha256=[sha256(b"hvac")]), verifier.TakenDownError),
        (_takedown(reason=""), MalformedError),
        (_set("summary", "verificationResult", "FAILED"), verifier.VerdictError),
        (_set("summary", "resourceUri", "pkg:pypi/envcli-plugin-other@1.0"), verifier.VerdictError),
        (_set("summary", "timeVerified", (NOW + timedelta(days=1)).isoformat()), verifier.VerdictError),
        (_set("summary", "timeVerified", "yesterday"), MalformedError),
        (_set("summary", "envcli/closure", []), verifier.ClosureError),
        (_set("summary", "envcli/publisher/uuid", "other"), verifier.VerdictError),
        (_set("capability", "undeclared", ["process:spawn"]), verifier.CapabilityError),
        (_set("capability", "manifest", MANIFEST + "#"), MalformedError),
        (_add_wheel, verifier.VerdictError),
    ],
)
def test_a_release_that_says_something_else_is_refused(
    release: SignedRelease, spoil: Callable[[SignedRelease], None], expected: type[PolicyError]
) -> None:
    spoil(release)
    with pytest.raises(expected) as caught:
        verify_release(release.evidence(), release.trust(), NOW)
    assert caught.value.message
    assert caught.value.rule != "policy"


def test_only_the_pinned_summary_counts(release: SignedRelease) -> None:
    evidence = release.evidence()
    other = sign_statement(Statement(VSA, release.subjects, release.summary | {"extra": 1}), release.gate)
    with pytest.raises(verifier.VerdictError, match="pins"):
        verify_release(replace(evidence, vsa=other), release.trust(), NOW)


def test_only_the_pinned_capability_statement_counts(release: SignedRelease) -> None:
    evidence = release.evidence()
    release.capability["unused"] = ["file:read"]
    with pytest.raises(verifier.CapabilityError, match="pins"):
        verify_release(replace(evidence, capability=release.evidence().capability), release.trust(), NOW)


@pytest.mark.parametrize("part", ["gate", "vetting"])
def test_a_key_that_is_not_pinned_signs_nothing(release: SignedRelease, part: str) -> None:
    trust = release.trust()
    setattr(release, part, new_signer())
    with pytest.raises(SignatureError):
        verify_release(release.evidence(), trust, NOW)


def test_a_key_cannot_sign_for_another_role(release: SignedRelease) -> None:
    swapped = key_ring(pin(release.gate, "vetting", "a"), pin(release.vetting, "gate", "b"))
    with pytest.raises(SignatureError, match="gate"):
        verify_release(release.evidence(), release.trust(keys=swapped), NOW)


def test_a_key_counts_only_in_its_time(release: SignedRelease) -> None:
    ended = pin(release.gate, "gate", "gate", valid_until=(NOW - timedelta(days=1)).isoformat())
    keys = key_ring(ended, pin(release.vetting, "vetting", "worker"))
    with pytest.raises(SignatureError):
        verify_release(release.evidence(), release.trust(keys=keys), NOW)


def test_a_statement_of_another_type_is_no_summary(release: SignedRelease) -> None:
    evidence = release.evidence()
    statement = Statement("https://envcli.dev/attestation/decision/v1", release.subjects, release.summary)
    vsa = sign_statement(statement, release.gate)
    target = json.dumps(release.target | {"vsa_sha256": sha256(vsa)}).encode()
    with pytest.raises(verifier.VerdictError, match="type"):
        verify_release(replace(evidence, vsa=vsa, release_target=target), release.trust(), NOW)


@pytest.mark.parametrize("hours", [0, -1, -48, 25, 24 * 365])
def test_expired_or_overlong_trust_metadata_is_refused(release: SignedRelease, hours: int) -> None:
    trust = release.trust(timestamp_expires=NOW + timedelta(hours=hours))
    with pytest.raises(verifier.StaleError):
        verify_release(release.evidence(), trust, NOW)


@pytest.mark.parametrize(
    ("identity", "issuer"),
    [
        (f"{ISSUER}/publishers/mallory", ISSUER),
        (PUBLISHER["identity"], "https://other.example.org"),
        (PUBLISHER["identity"] + "x", ISSUER),
    ],
)
def test_another_publisher_cannot_sign_the_wheel(release: SignedRelease, identity: str, issuer: str) -> None:
    release.provenance = release.sigstore.provenance(WHEEL, release.wheel_sha256, identity, issuer)
    with pytest.raises(attestation.AttestationIdentityError):
        verify_release(release.evidence(), release.trust(), NOW)


@pytest.mark.parametrize(
    ("filename", "digest"), [("other-1.0-py3-none-any.whl", None), (WHEEL, sha256(b"x"))]
)
def test_an_attestation_of_another_file_is_refused(
    release: SignedRelease, filename: str, digest: str | None
) -> None:
    wanted = digest or release.wheel_sha256
    release.provenance = release.sigstore.provenance(filename, wanted, PUBLISHER["identity"], ISSUER)
    with pytest.raises(attestation.AttestationSubjectError):
        verify_release(release.evidence(), release.trust(), NOW)


def test_an_attestation_from_another_instance_is_refused(
    release: SignedRelease, tmp_path_factory: pytest.TempPathFactory
) -> None:
    foreign = PrivateSigstore(tmp_path_factory.mktemp("foreign"))
    release.provenance = foreign.provenance(WHEEL, release.wheel_sha256, PUBLISHER["identity"], ISSUER)
    with pytest.raises(attestation.AttestationError, match="does not verify"):
        verify_release(release.evidence(), release.trust(), NOW)


def test_no_attestation_is_refused(release: SignedRelease) -> None:
    release.provenance = b'{"version": 1, "attestation_bundles": []}'
    with pytest.raises(attestation.AttestationMissingError):
        verify_release(release.evidence(), release.trust(), NOW)


@pytest.mark.parametrize("field", ["statement", "signature"])
def test_an_altered_attestation_is_refused(release: SignedRelease, field: str) -> None:
    document = json.loads(release.provenance)
    envelope = document["attestation_bundles"][0]["attestations"][0]["envelope"]
    middle = len(envelope[field]) // 2
    swapped = "A" if envelope[field][middle] != "A" else "B"
    envelope[field] = envelope[field][:middle] + swapped + envelope[field][middle + 1 :]
    release.provenance = json.dumps(document).encode()
    with pytest.raises(PolicyError):
        verify_release(release.evidence(), release.trust(), NOW)


def test_one_bad_attestation_beside_a_good_one_refuses_both(release: SignedRelease) -> None:
    good = json.loads(release.provenance)["attestation_bundles"][0]["attestations"][0]
    bad = release.sigstore.attest(WHEEL, sha256(b"x"), PUBLISHER["identity"], ISSUER)
    release.provenance = json.dumps([good, bad]).encode()
    with pytest.raises(attestation.AttestationSubjectError):
        verify_release(release.evidence(), release.trust(), NOW)


@pytest.mark.parametrize(
    "file",
    [FileDigest(DEPENDENCY, sha256(b"evil")), FileDigest("evil-1.0-py3-none-any.whl", sha256(b"hvac"))],
)
def test_a_dependency_that_was_not_vetted_is_refused(release: SignedRelease, file: FileDigest) -> None:
    with pytest.raises(verifier.ClosureError):
        verify_release(release.evidence(closure=(file,)), release.trust(), NOW)


@pytest.mark.parametrize(
    "filename",
    ["../x.whl", "envcli_plugin_other-1.0-py3-none-any.whl", "envcli_plugin_sample-2.0-py3-none-any.whl"],
)
def test_a_wheel_by_another_name_is_refused(release: SignedRelease, filename: str) -> None:
    release.target["files"] = {filename: release.wheel_sha256}
    evidence = release.evidence(wheel=FileDigest(filename, release.wheel_sha256))
    with pytest.raises(verifier.ReleaseRecordError):
        verify_release(evidence, release.trust(), NOW)


@pytest.mark.parametrize("part", ["release_target", "takedowns", "vsa", "capability", "attestations"])
@pytest.mark.parametrize("junk", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"a":1,"a":1}', b"[" * 100_000])
def test_junk_in_any_place_is_refused_with_one_line(release: SignedRelease, part: str, junk: bytes) -> None:
    evidence = release.evidence()
    spoilt = replace(evidence, **{part: junk})
    if part in {"vsa", "capability"}:
        with pytest.raises(PolicyError, match="pins"):
            verify_release(spoilt, release.trust(), NOW)
        return
    with pytest.raises(PolicyError) as caught:
        verify_release(spoilt, release.trust(), NOW)
    assert "\n" not in str(caught.value)
