"""The way of a release through a real index: upload, vetting, decision, promotion, reading, takedown."""

import base64
import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from common.index_server import IndexServer, automatic_layout, index_server, plugin_wheel
from envcli_index.administration import verify_tree
from envcli_index.reviewer_tools import decide, keygen, take_down
from envcli_policy.statements import TRANSITION, VSA, KeyRing, parse_statement, verify_envelope
from envcli_policy.verifier import FileDigest, ReleaseEvidence, TrustMaterial, verify_release
from pypi_simple import PyPISimple

__all__ = ["index_server"]


def targets(server: IndexServer, path: str) -> bytes:
    """A TUF target as the gate wrote it, read by path."""
    from envcli_index.trust.tuf import TufPublisher

    content = TufPublisher(server.config).read(path)
    assert content is not None
    return content


def test_good_upload_is_staged_and_invisible_until_a_reviewer_approves(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    answer = index_server.upload(plugin)
    assert answer.status_code == 200, answer.text
    index_server.vet(plugin)
    index_server.wait_state(plugin, "needs-human")
    assert index_server.get_json(f"/simple/{plugin.project}/") is None
    missing = f"{index_server.config.public_url}/files/{plugin.sha256}/{plugin.filename}"
    assert httpx.get(missing).status_code == 404
    assert "accepted" in index_server.decide(plugin)
    index_server.wait_state(plugin, "released")
    entry = index_server.wait_page(plugin)
    assert entry["hashes"]["sha256"] == plugin.sha256
    assert hashlib.sha256(httpx.get(entry["url"]).content).hexdigest() == plugin.sha256


def test_passed_checks_need_a_reviewer_still_and_failed_ones_reject(index_server: IndexServer) -> None:
    good, bad = plugin_wheel(), plugin_wheel()
    for plugin, result in ((good, "PASSED"), (bad, "FAILED")):
        assert index_server.upload(plugin).status_code == 200
        index_server.vet(plugin, result)
    release = index_server.wait_state(good, "needs-human")
    assert release.reason == "every required check passed; the layout asks for a person's decision"
    index_server.wait_state(bad, "rejected")
    assert index_server.get_json(f"/simple/{bad.project}/") is None


def test_an_operator_may_let_clean_passes_through(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    with automatic_layout(index_server):
        assert index_server.upload(plugin).status_code == 200
        index_server.vet(plugin, "PASSED")
        index_server.wait_state(plugin, "released")
    index_server.wait_page(plugin)


def test_rejected_release_stays_invisible_and_takes_no_further_files(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    index_server.upload(plugin)
    index_server.vet(plugin)
    index_server.wait_state(plugin, "needs-human")
    index_server.decide(plugin, approve=False, reason="it lies about what it does")
    release = index_server.wait_state(plugin, "rejected")
    assert release.reason == "it lies about what it does"
    other = plugin_wheel(plugin.project.removeprefix("envcli-plugin-"), tag="py312-none-any")
    answer = index_server.upload(other)
    assert (answer.status_code, answer.text.split(":")[0]) == (409, "version-exists")


def test_undeclared_capability_is_never_promoted_even_if_a_reviewer_approves(
    index_server: IndexServer,
) -> None:
    plugin = plugin_wheel()
    index_server.upload(plugin)
    index_server.vet(plugin, undeclared=["process:spawn"])
    index_server.wait_state(plugin, "needs-human")
    index_server.decide(plugin)
    release = index_server.wait_state(plugin, "rejected")
    assert "undeclared" in str(release.reason)


def test_host_verifier_accepts_what_the_index_publishes(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    entry = index_server.publish(plugin)
    place = f"{plugin.project}/{plugin.version}"
    base = index_server.config.public_url
    client_config = json.loads(targets(index_server, "trust/client-trust-config.json"))
    timestamp = json.loads((index_server.config.public / "tuf/metadata/timestamp.json").read_bytes())
    evidence = ReleaseEvidence(
        project=plugin.project,
        version=plugin.version,
        wheel=FileDigest(plugin.filename, plugin.sha256),
        release_target=targets(index_server, f"releases/{place}.json"),
        takedowns=targets(index_server, "takedowns.json"),
        vsa=httpx.get(f"{base}/statements/{place}/vsa.dsse.json").content,
        capability=httpx.get(f"{base}/statements/{place}/capability.dsse.json").content,
        attestations=httpx.get(entry["provenance"]).content,
    )
    trust = TrustMaterial(
        keys=KeyRing.from_json(targets(index_server, "trust/keys.json")),
        trusted_root=json.dumps(client_config["trustedRoot"]),
        timestamp_expires=datetime.fromisoformat(timestamp["signed"]["expires"]),
    )
    verdict = verify_release(evidence, trust, datetime.now(UTC))
    assert verdict.reviewed_by == ("Rita Reviewer",)
    assert verdict.publisher.identity == index_server.issuer.identity()


def test_pages_hold_every_field_that_unmodified_clients_read(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    index_server.publish(plugin)
    with PyPISimple(f"{index_server.config.public_url}/simple/") as client:
        page = client.get_project_page(plugin.project)
        (package,) = page.packages
        assert page.repository_version == "1.4"
        assert page.versions == [plugin.version]
        assert package.size == len(plugin.content)
        assert package.upload_time is not None
        assert package.digests == {"sha256": plugin.sha256}
        assert package.requires_python == ">=3.11"
        assert package.has_metadata
        assert b"Name: envcli-plugin-" in client.get_package_metadata_bytes(package)
        provenance = client.get_provenance(package)
        assert provenance["attestation_bundles"][0]["publisher"]["kind"] == "envcli"
        assert plugin.project in client.get_index_page().projects


def test_every_transition_is_a_signed_statement_in_the_chained_feed(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    index_server.publish(plugin)
    subject = f"{plugin.project}=={plugin.version}"
    index_server.wait_event("release.promoted/1", subject)
    mine = [event for event in index_server.events() if event["subject"] == subject]
    assert [event["type"] for event in mine] == [
        "release.checking/1",
        "release.needs-human/1",
        "release.approved/1",
        "release.promoted/1",
    ]
    statements = index_server.get_json(f"/statements/{plugin.project}/{plugin.version}/index.json")
    assert statements is not None
    kept = {one["sha256"]: one for one in statements["statements"] if one["predicateType"] == TRANSITION}
    ring = KeyRing.from_json(targets(index_server, "trust/keys.json"))
    for event in mine:
        listed = kept[event["data"]["statement_sha256"]]
        envelope = httpx.get(listed["url"]).content
        statement = verify_envelope(envelope, ring, "gate", datetime.now(UTC))
        assert statement.predicate["to"] == event["data"]["to"]


def test_feed_is_a_hash_chain(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    index_server.publish(plugin)
    index_server.wait_event("release.promoted/1", f"{plugin.project}=={plugin.version}")
    head = index_server.get_json("/feed/head.json")
    assert head is not None
    previous = "0" * 64
    for number in range(1, head["seq"] + 1):
        raw = httpx.get(f"{index_server.config.public_url}/feed/events/{number}.json").content
        event = json.loads(base64.b64decode(json.loads(raw)["payload"]))
        assert (event["seq"], event["prev_sha256"]) == (number, previous)
        previous = hashlib.sha256(raw).hexdigest()
    assert previous == head["sha256"]


def test_summary_names_closure_reviewers_and_inputs(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    index_server.publish(plugin)
    place = f"{index_server.config.public_url}/statements/{plugin.project}/{plugin.version}"
    statement = parse_statement(httpx.get(f"{place}/vsa.dsse.json").content)
    assert statement.predicate_type == VSA
    assert statement.predicate["verifiedLevels"] == ["ENVCLI_VETTED", "ENVCLI_REVIEWED"]
    for attestation in statement.predicate["inputAttestations"]:
        content = httpx.get(attestation["uri"]).content
        assert hashlib.sha256(content).hexdigest() == attestation["digest"]["sha256"]


def test_takedown_of_a_version_deletes_its_files_everywhere(index_server: IndexServer) -> None:
    bad = plugin_wheel(version="1.0")
    entry = index_server.publish(bad)
    good = plugin_wheel(bad.project.removeprefix("envcli-plugin-"), "1.1")
    index_server.publish(good)
    take_down(
        index_server.config.public_url,
        index_server.reviewer_key,
        f"{bad.project}==1.0",
        reason="steals tokens",
        severity="critical",
        advisory="ENVCLI-2026-0001",
        remove=False,
    )
    index_server.wait_state(bad, "quarantined")
    wait_gone(index_server, entry["url"])
    page = index_server.get_json(f"/simple/{bad.project}/", "application/vnd.pypi.simple.v1+json")
    assert page is not None
    assert [file["filename"] for file in page["files"]] == [good.filename]
    listed = json.loads(targets(index_server, "takedowns.json"))["takedowns"]
    (mine,) = [one for one in listed if one["project"] == bad.project]
    assert (mine["versions"], mine["sha256"], mine["severity"]) == (["1.0"], [bad.sha256], "critical")
    record = json.loads(targets(index_server, f"releases/{bad.project}/1.0.json"))
    assert record["state"] == "quarantined"
    index_server.wait_event("takedown.published/1", bad.project)
    told = {one: mine[one] for one in ("id", "reason", "severity", "issued", "advisory")}
    project = index_server.get_json(f"/projects/{bad.project}.json")
    vetting = index_server.get_json(f"/vetting/{bad.project}/1.0.json")
    assert project is not None
    assert vetting is not None
    assert [one["takedown"] for one in project["releases"]] == [None, told]
    assert vetting["takedown"] == told


def test_takedown_of_a_project_quarantines_it_and_refuses_new_versions(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    entry = index_server.publish(plugin)
    take_down(
        index_server.config.public_url,
        index_server.reviewer_key,
        plugin.project,
        reason="the account was taken over",
        severity="high",
        advisory=None,
        remove=True,
    )
    index_server.wait_state(plugin, "removed")
    wait_gone(index_server, entry["url"])
    page = index_server.get_json(f"/simple/{plugin.project}/", "application/vnd.pypi.simple.v1+json")
    assert page is not None
    assert page["project-status"]["status"] == "quarantined"
    assert page["files"] == []
    listed = json.loads(targets(index_server, "takedowns.json"))["takedowns"]
    (mine,) = [one for one in listed if one["project"] == plugin.project]
    reason = f"the account was taken over ({mine['id']}, severity high)"
    assert page["project-status"]["reason"] == reason
    record = index_server.get_json(f"/projects/{plugin.project}.json")
    assert record is not None
    assert (record["status"], record["status_reason"]) == ("quarantined", reason)
    newer = plugin_wheel(plugin.project.removeprefix("envcli-plugin-"), "2.0")
    answer = index_server.upload(newer)
    assert (answer.status_code, answer.text.split(":")[0]) == (403, "taken-down")


def wait_gone(server: IndexServer, url: str) -> None:
    """The file's address answers 404 within a few seconds."""
    import time

    deadline = time.monotonic() + 10
    while httpx.get(url).status_code != 404:
        if time.monotonic() > deadline:
            pytest.fail(f"{url} is still there:\n{server.log('gate')[-2000:]}")
        time.sleep(0.05)


def test_reviewer_may_work_with_the_write_path_alone(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    index_server.upload(plugin)
    index_server.vet(plugin)
    record = f"/vetting/{plugin.project}/{plugin.version}.json"
    index_server.wait_for(lambda: (index_server.get_json(record) or {}).get("state") == "needs-human")
    wanted = f"{plugin.project}=={plugin.version}"
    decide(
        index_server.config.devpi_url,
        index_server.reviewer_key,
        wanted,
        approve=True,
        reason="good",
        rules=["r1"],
    )
    index_server.wait_state(plugin, "released")


def test_file_added_after_the_checks_is_checked_too(index_server: IndexServer) -> None:
    first = plugin_wheel()
    index_server.upload(first)
    index_server.vet(first)
    index_server.wait_state(first, "needs-human")
    short = first.project.removeprefix("envcli-plugin-")
    second = plugin_wheel(short, tag="py312-none-any")
    assert index_server.upload(second).status_code == 200
    index_server.wait_state(first, "checking")
    index_server.vet(first)
    index_server.wait_state(first, "needs-human")
    index_server.decide(first)
    index_server.wait_state(first, "released")
    index_server.wait_page(second)


def test_first_party_wheels_are_there_from_the_start(index_server: IndexServer) -> None:
    page = index_server.get_json("/simple/envcli-sdk/", "application/vnd.pypi.simple.v1+json")
    assert page is not None
    assert [file["filename"] for file in page["files"]] == ["envcli_sdk-0.1.0-py3-none-any.whl"]


def test_tree_agrees_with_database_and_trust(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    index_server.publish(plugin)
    assert verify_tree(index_server.config.data) == []
    file = index_server.config.public / "files" / plugin.sha256 / plugin.filename
    content = file.read_bytes()
    try:
        file.write_bytes(content + b"x")
        (problem,) = verify_tree(index_server.config.data)
        assert plugin.filename in problem
    finally:
        file.write_bytes(content)


def run_cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``envcli-index`` as users do."""
    command = [sys.executable, "-m", "envcli_index.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_commands_of_reviewer_and_administrator(index_server: IndexServer, tmp_path: Path) -> None:
    data = str(index_server.config.data)
    made = run_cli("reviewer", "keygen", "--out", str(tmp_path / "key.pem"))
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    enrolled = run_cli(
        "reviewer", "enrol", "--data", data, "--name", "Ronny", "--public", str(tmp_path / "key.pem.pub")
    )
    assert enrolled.returncode == 0, enrolled.stderr
    again = run_cli("enrol", "--data", data, "--name", "Ronny", "--public", str(tmp_path / "key.pem.pub"))
    assert (again.returncode, "enrolled already" in again.stderr) == (1, True)
    plugin = plugin_wheel()
    index_server.publish(plugin)
    listed = json.loads(run_cli("list", "--data", data, "--json").stdout)
    assert {"project": plugin.project, "state": "released"}.items() <= _of(listed, plugin.project).items()
    assert run_cli("doctor", "--data", data).returncode in {0, 1}
    assert run_cli("verify-tree", "--data", data).returncode == 0
    missing = run_cli("list", "--data", str(tmp_path / "none"))
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: no index at")
    assert len(missing.stderr.strip().splitlines()) == 1


def _of(rows: list[dict[str, Any]], project: str) -> dict[str, Any]:
    return next(row for row in rows if row["project"] == project)


def test_key_of_a_stranger_decides_nothing(index_server: IndexServer, tmp_path: Path) -> None:
    plugin = plugin_wheel()
    index_server.upload(plugin)
    index_server.vet(plugin)
    index_server.wait_state(plugin, "needs-human")
    keygen(tmp_path / "stranger.pem")
    wanted = f"{plugin.project}=={plugin.version}"
    with pytest.raises(Exception, match="signature-invalid"):
        decide(
            index_server.config.public_url,
            tmp_path / "stranger.pem",
            wanted,
            approve=True,
            reason="x",
            rules=[],
        )
    assert index_server.release(plugin).state == "needs-human"
