"""Finding and fetching plugins from a real public tree over HTTP, and everything that must stop it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from common.index_simulator import (
    ISSUER,
    PUBLISHER,
    Fault,
    IndexSimulator,
    Wheel,
    make_plugin,
    make_wheel,
    serve_index,
)
from common.private_sigstore import PrivateSigstore
from envcli_host.cli.main import main
from envcli_host.config import HostPaths
from envcli_host.errors import (
    EnvcliError,
    MarketplaceError,
    OfferNotFoundError,
    StaleTrustError,
    TakenDownError,
    UnknownIndexError,
    VerificationError,
)
from envcli_host.marketplace.freshness import check_run
from envcli_host.marketplace.offers import download_offer, find_offer
from envcli_host.marketplace.receipts import post_receipt

PLUGIN = "envcli-plugin-demo"


@pytest.fixture(scope="session")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture
def index(sigstore: PrivateSigstore) -> Iterator[IndexSimulator]:
    def attest(filename: str, sha256: str) -> bytes:
        return sigstore.provenance(filename, sha256, PUBLISHER["identity"], ISSUER)

    with serve_index(IndexSimulator(attest, sigstore.trusted_root)) as simulator:
        yield simulator


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostPaths:
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ENVCLI_TOKEN", raising=False)
    return HostPaths.from_environment()


@pytest.fixture
def trusted(index: IndexSimulator, paths: HostPaths) -> IndexSimulator:
    assert main(["index", "add", index.url, "--root-sha256", index.root_sha256, "--name", "test"]) == 0
    return index


@pytest.fixture
def plugin() -> Wheel:
    return make_plugin(PLUGIN, "1.0.0", requires=("greeting>=1", "unused; sys_platform == 'win32'"))


@pytest.fixture
def released(trusted: IndexSimulator, plugin: Wheel) -> IndexSimulator:
    closure = (
        make_wheel("greeting", "1.2.0", requires=("words",)),
        make_wheel("words", "2.0"),
        make_wheel("unused", "1.0"),
    )
    trusted.release(plugin, closure)
    return trusted


def test_a_verified_offer_tells_who_made_what_and_what_it_needs_here(
    released: IndexSimulator, paths: HostPaths, plugin: Wheel
) -> None:
    offer = find_offer("envcli_plugin.demo", None, paths)

    assert (offer.project, offer.version, offer.index_name) == (PLUGIN, "1.0.0", "test")
    assert offer.publisher.identity == PUBLISHER["identity"]
    assert offer.verdict.reviewed_by == ("alice",)
    assert 'id = "demo"' in offer.manifest_text
    assert offer.capability.observed[0].permission == "variable:read"
    assert offer.wheel.sha256 == plugin.sha256
    assert sorted(file.filename for file in offer.closure) == [
        "greeting-1.2.0-py3-none-any.whl",
        "words-2.0-py3-none-any.whl",
    ]


def test_no_wheel_is_fetched_before_consent(released: IndexSimulator, paths: HostPaths) -> None:
    find_offer(PLUGIN, None, paths)

    assert not [path for path in released.requests if path.endswith(".whl")]


def test_download_writes_all_files_the_plugin_first(
    released: IndexSimulator, paths: HostPaths, tmp_path: Path, plugin: Wheel
) -> None:
    seen: list[tuple[str, int, int | None]] = []

    files = download_offer(find_offer(PLUGIN, None, paths), tmp_path, lambda *step: seen.append(step))

    assert files[0].read_bytes() == plugin.content
    assert [file.name for file in files[1:]] == [
        "greeting-1.2.0-py3-none-any.whl",
        "words-2.0-py3-none-any.whl",
    ]
    assert (plugin.filename, len(plugin.content), len(plugin.content)) in seen


def test_a_newer_dependency_of_another_plugin_is_not_chosen(
    trusted: IndexSimulator, paths: HostPaths
) -> None:
    trusted.release(make_plugin(PLUGIN, "1.0.0", requires=("greeting",)), (make_wheel("greeting", "1.2.0"),))
    other = make_plugin("envcli-plugin-other", "1.0.0", requires=("greeting",))
    trusted.release(other, (make_wheel("greeting", "9.9.9"),))

    assert [file.filename for file in find_offer(PLUGIN, None, paths).closure] == [
        "greeting-1.2.0-py3-none-any.whl"
    ]


def test_required_plugins_are_named_and_not_part_of_the_closure(
    trusted: IndexSimulator, paths: HostPaths
) -> None:
    trusted.release(make_plugin(PLUGIN, "1.0.0", requires=("envcli-plugin-base>=2",)))

    offer = find_offer(PLUGIN, None, paths)

    assert (offer.plugin_dependencies, offer.closure) == (("envcli-plugin-base>=2",), ())


def test_the_newest_fitting_final_release_is_chosen(trusted: IndexSimulator, paths: HostPaths) -> None:
    for version in ("1.0.0", "1.10.0", "1.9.0", "2.0.0rc1"):
        trusted.release(make_plugin(PLUGIN, version))
    trusted.release(make_plugin(PLUGIN, "1.11.0", tag="cp39-cp39-win_amd64"))
    trusted.release(make_plugin(PLUGIN, "1.12.0"), state="yanked")

    assert find_offer(PLUGIN, None, paths).version == "1.10.0"
    assert find_offer(PLUGIN, "2.0.0rc1", paths).version == "2.0.0rc1"
    with pytest.raises(OfferNotFoundError, match=r"1.11.0: no wheel for this Python"):
        find_offer(PLUGIN, "1.11.0", paths)


def test_a_takedown_stops_offers_and_runs(released: IndexSimulator, paths: HostPaths, plugin: Wheel) -> None:
    now = datetime.now(UTC)
    find_offer(PLUGIN, None, paths)
    assert check_run(PLUGIN, "1.0.0", plugin.sha256, "test", paths, now) is None

    released.take_down(PLUGIN, ["*"], "it steals variables")

    with pytest.raises(TakenDownError, match="it steals variables"):
        find_offer(PLUGIN, None, paths)
    with pytest.raises(TakenDownError, match="it steals variables"):
        check_run(PLUGIN, "1.0.0", plugin.sha256, "test", paths, now)


def test_a_removed_release_is_called_taken_down_and_not_unfitting(
    released: IndexSimulator, paths: HostPaths, plugin: Wheel
) -> None:
    released.projects[PLUGIN]["releases"][0] |= {"state": "removed", "files": []}
    released.take_down(PLUGIN, ["1.0.0"], "it steals variables")

    with pytest.raises(TakenDownError, match=r"1\.0\.0 was taken down"):
        find_offer(PLUGIN, None, paths)


def test_runs_learn_of_a_takedown_by_a_refresh(
    released: IndexSimulator, paths: HostPaths, plugin: Wheel
) -> None:
    released.take_down(PLUGIN, ["1.0.0"])

    assert main(["index", "refresh"]) == 0

    with pytest.raises(TakenDownError):
        check_run(PLUGIN, "1.0.0", plugin.sha256, "test", paths, datetime.now(UTC))


def test_an_older_release_is_offered_when_the_newest_was_taken_down(
    released: IndexSimulator, paths: HostPaths
) -> None:
    released.release(make_plugin(PLUGIN, "1.1.0"))
    released.take_down(PLUGIN, ["1.1.0"])

    assert find_offer(PLUGIN, None, paths).version == "1.0.0"
    with pytest.raises(TakenDownError):
        find_offer(PLUGIN, "1.1.0", paths)


def test_an_expired_timestamp_stops_installs(released: IndexSimulator, paths: HostPaths) -> None:
    released.timestamp_life = timedelta(seconds=-5)
    released.publish()

    with pytest.raises(StaleTrustError, match="expired"):
        find_offer(PLUGIN, None, paths)


def test_a_rollback_is_refused_and_changes_nothing(
    released: IndexSimulator, paths: HostPaths, plugin: Wheel
) -> None:
    before = released.snapshot_of_files()
    released.take_down(PLUGIN, ["*"])
    main(["index", "refresh"])

    released.files = before

    with pytest.raises(VerificationError, match="older trust metadata"):
        find_offer(PLUGIN, None, paths)
    with pytest.raises(TakenDownError):
        check_run(PLUGIN, "1.0.0", plugin.sha256, "test", paths, datetime.now(UTC))


def test_metadata_signed_by_other_keys_is_refused(
    released: IndexSimulator, paths: HostPaths, sigstore: PrivateSigstore
) -> None:
    stranger = IndexSimulator(released.attest, sigstore.trusted_root)
    stranger.version = 50
    stranger.publish()
    released.files["tuf/metadata/timestamp.json"] = stranger.files["tuf/metadata/timestamp.json"]

    with pytest.raises(VerificationError, match="does not verify"):
        find_offer(PLUGIN, None, paths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"result": "FAILED"}, "FAILED"),
        ({"undeclared": ("network:connect",)}, "does not declare"),
        ({"state": "quarantined"}, "quarantined"),
        ({"publisher": PUBLISHER | {"identity": f"{ISSUER}/publishers/other"}}, "not signed by"),
    ],
)
def test_bad_evidence_is_refused(
    trusted: IndexSimulator, paths: HostPaths, options: dict[str, object], message: str
) -> None:
    trusted.release(make_plugin(PLUGIN, "1.0.0"), **options)  # type: ignore[arg-type]

    with pytest.raises(MarketplaceError, match=message):
        find_offer(PLUGIN, "1.0.0", paths)


@pytest.mark.parametrize("name", ["vsa", "capability"])
def test_statements_of_another_release_are_refused(
    trusted: IndexSimulator, paths: HostPaths, name: str
) -> None:
    for version in ("1.0.0", "2.0.0"):
        trusted.release(make_plugin(PLUGIN, version))
    base = f"statements/{PLUGIN}"
    trusted.files[f"{base}/2.0.0/{name}.dsse.json"] = trusted.files[f"{base}/1.0.0/{name}.dsse.json"]

    with pytest.raises(VerificationError, match="not the one"):
        find_offer(PLUGIN, "2.0.0", paths)


def test_an_attestation_of_another_file_is_refused(
    released: IndexSimulator, paths: HostPaths, plugin: Wheel
) -> None:
    path = f"integrity/{PLUGIN}/1.0.0/{plugin.filename}/provenance"
    released.files[path] = released.attest(plugin.filename, "0" * 64)

    with pytest.raises(VerificationError, match="SHA-256 0000"):
        find_offer(PLUGIN, None, paths)


def test_a_release_that_is_listed_but_not_signed_is_refused(
    released: IndexSimulator, paths: HostPaths
) -> None:
    del released.targets[f"releases/{PLUGIN}/1.0.0.json"]
    released.publish()

    with pytest.raises(VerificationError, match="does not sign it"):
        find_offer(PLUGIN, None, paths)


def test_one_changed_byte_is_refused_and_nothing_is_left(
    released: IndexSimulator, paths: HostPaths, plugin: Wheel, tmp_path: Path
) -> None:
    offer = find_offer(PLUGIN, None, paths)
    released.files[f"files/{plugin.sha256}/{plugin.filename}"] = plugin.content[:-1] + b"!"
    target = tmp_path / "downloads"
    target.mkdir()

    with pytest.raises(VerificationError, match="was verified"):
        download_offer(offer, target)

    assert not list(target.iterdir())


def test_metadata_beside_the_wheel_must_be_the_wheels_own(
    trusted: IndexSimulator, paths: HostPaths, tmp_path: Path
) -> None:
    plugin = make_plugin(PLUGIN, "1.0.0", requires=("greeting",))
    trusted.release(plugin, (make_wheel("greeting", "1.0"),))
    trusted.files[f"files/{plugin.sha256}/{plugin.filename}.metadata"] = b"Metadata-Version: 2.4\nName: x\n\n"
    offer = find_offer(PLUGIN, None, paths)
    assert offer.closure == ()

    with pytest.raises(VerificationError, match="another METADATA"):
        download_offer(offer, tmp_path)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(status=404), "has no"),
        (Fault(status=500), "HTTP 500"),
        (Fault(truncate_at=5), "broke off"),
    ],
)
@pytest.mark.parametrize("path", ["tuf/metadata/timestamp.json", f"projects/{PLUGIN}.json"])
def test_a_broken_index_is_one_clear_error(
    released: IndexSimulator, paths: HostPaths, path: str, fault: Fault, message: str
) -> None:
    released.faults[path] = fault

    with pytest.raises(MarketplaceError, match=message) as caught:
        find_offer(PLUGIN, None, paths)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"name": 1}', b'{"name": "other", "releases": []}', b"[" * 9999]
)
def test_malformed_records_are_refused(released: IndexSimulator, paths: HostPaths, content: bytes) -> None:
    released.files[f"projects/{PLUGIN}.json"] = content

    with pytest.raises(MarketplaceError, match="malformed"):
        find_offer(PLUGIN, None, paths)


def test_an_unreachable_index_is_named_with_a_remedy(sigstore: PrivateSigstore, paths: HostPaths) -> None:
    with serve_index(IndexSimulator(lambda _name, _digest: b"", sigstore.trusted_root)) as index:
        main(["index", "add", index.url, "--root-sha256", index.root_sha256, "--name", "gone"])

    with pytest.raises(MarketplaceError, match=r"index gone cannot be reached at .*Check the network"):
        find_offer(PLUGIN, None, paths)


def test_closure_that_cannot_be_satisfied_is_explained(trusted: IndexSimulator, paths: HostPaths) -> None:
    trusted.release(make_plugin(PLUGIN, "1.0.0", requires=("greeting>=5",)), (make_wheel("greeting", "1.0"),))

    with pytest.raises(OfferNotFoundError, match="cannot be satisfied here"):
        find_offer(PLUGIN, None, paths)


def test_direct_references_are_refused(trusted: IndexSimulator, paths: HostPaths) -> None:
    trusted.release(
        make_plugin(PLUGIN, "1.0.0", requires=("evil @ https://evil.example.org/evil-1.0-py3-none-any.whl",))
    )

    with pytest.raises(VerificationError, match="direct address"):
        find_offer(PLUGIN, None, paths)


def test_unknown_projects_and_indexes(trusted: IndexSimulator, paths: HostPaths) -> None:
    with pytest.raises(OfferNotFoundError, match="has no project"):
        find_offer("envcli-plugin-nothing", None, paths)
    with pytest.raises(UnknownIndexError, match="no index called 'other'"):
        find_offer(PLUGIN, None, paths, index_name="other")


def test_a_changed_pinned_root_is_noticed(released: IndexSimulator, paths: HostPaths) -> None:
    pinned = paths.indexes_dir / "test" / "root.json"
    pinned.write_bytes(pinned.read_bytes() + b" ")

    with pytest.raises(VerificationError, match="was changed"):
        find_offer(PLUGIN, None, paths)


def test_a_receipt_goes_to_the_tokens_issuer_only(
    released: IndexSimulator, paths: HostPaths, monkeypatch: pytest.MonkeyPatch, sigstore: PrivateSigstore
) -> None:
    offer = find_offer(PLUGIN, None, paths)
    assert "no API token" in post_receipt(offer, paths)

    monkeypatch.setenv("ENVCLI_TOKEN", _token("https://elsewhere.example.org"))
    assert "was not issued by" in post_receipt(offer, paths)
    assert released.posted == []


def test_a_receipt_names_the_wheel(
    trusted: IndexSimulator, paths: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = trusted.url.rstrip("/")
    who = PUBLISHER | {"issuer": web}
    sigstore = trusted.attest
    monkeypatch.setenv("ENVCLI_TOKEN", _token(web))
    wheel = make_plugin(PLUGIN, "1.0.0")
    trusted.attest = sigstore
    trusted.release(wheel)
    offer = find_offer(PLUGIN, None, paths)
    import dataclasses

    offer = dataclasses.replace(offer, publisher=dataclasses.replace(offer.publisher, issuer=who["issuer"]))

    assert post_receipt(offer, paths) == f"install receipt sent to {web}"

    path, body, authorization = trusted.posted[0]
    assert (path, body["sha256"]) == ("api/v1/receipts", wheel.sha256)
    assert authorization.startswith("Bearer envcli-")


def test_search_and_info_escape_what_the_index_says(
    released: IndexSimulator, paths: HostPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    from argparse import ArgumentParser

    from envcli_host.cli.plugin_catalog import add_verbs

    released.projects[PLUGIN]["summary"] = "evil \x1b[2J\u202e text"
    released.publish()
    parser = ArgumentParser()
    add_verbs(parser.add_subparsers())
    capsys.readouterr()

    for words in (["search", "demo"], ["info", "demo"]):
        arguments = parser.parse_args(words)
        assert arguments.func(arguments) == 0
        shown = capsys.readouterr().out
        assert PLUGIN in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    arguments = parser.parse_args(["search", "nothing-like-this"])
    assert arguments.func(arguments) == 1


def test_every_error_is_an_envcli_error() -> None:
    assert issubclass(MarketplaceError, EnvcliError)


def _token(issuer: str) -> str:
    import base64

    claims = base64.urlsafe_b64encode(json.dumps({"iss": issuer}).encode()).rstrip(b"=").decode()
    return f"envcli-e30.{claims}.c2ln"
