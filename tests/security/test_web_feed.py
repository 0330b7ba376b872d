"""The catalog follows the feed of a real index: only what its gate signed, and no record that contradicts it."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from common.index_server import IndexServer, index_server, plugin_wheel
from common.public_tree import PublicTree, digest_of, release
from common.site import URL, Site, initialise
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from envcli_index.database import utc_now
from envcli_policy.errors import MalformedError
from envcli_policy.statements import KeyRing, SignatureError, parse_statement, verify_payload
from envcli_web.app import create_app
from envcli_web.catalog.feed_trust import EVENT_TYPE, FeedTrust
from envcli_web.catalog.index_client import IndexUnusableError
from envcli_web.config import WebConfig
from envcli_web.errors import ConfigurationError
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

__all__ = ["index_server"]
pytest_plugins = ("common.site_fixtures",)

Change = Callable[[bytes], bytes]


class Meddler(httpx.BaseTransport):
    """Somebody between site and index who changes the events of the feed and keeps its head in step."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._real = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass everything on, events changed."""
        answer = self._real.handle_request(request)
        content = answer.read()
        if request.url.path.startswith("/feed/events/"):
            content = self._change(content)
        return httpx.Response(answer.status_code, content=content)


def body_of(envelope: bytes) -> dict[str, Any]:
    """What an event says."""
    found: dict[str, Any] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return found


def unsigned(envelope: bytes) -> bytes:
    """The event without its signature."""
    return json.dumps(json.loads(envelope) | {"signatures": []}).encode()


def changed(envelope: bytes) -> bytes:
    """The event about another project, the signature kept."""
    body = body_of(envelope) | {"subject": "envcli-plugin-evil==1.0"}
    payload = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps(json.loads(envelope) | {"payload": payload}).encode()


def by_a_stranger(envelope: bytes) -> bytes:
    """The event signed by a key that nobody pinned."""
    forged = Envelope(json.dumps(body_of(envelope)).encode(), EVENT_TYPE, {})
    forged.sign(CryptoSigner(Ed25519PrivateKey.generate()))
    return json.dumps(forged.to_dict()).encode()


def under_the_gates_name(envelope: bytes) -> bytes:
    """The same with the key id of the gate."""
    document = json.loads(by_a_stranger(envelope))
    document["signatures"][0]["keyid"] = json.loads(envelope)["signatures"][0]["keyid"]
    return json.dumps(document).encode()


@pytest.fixture
def site(index_server: IndexServer, tmp_path: Path) -> Site:
    """A site that knows the fingerprint of a real index with a release."""
    index_server.publish(plugin_wheel())
    index_server.wait_for(index_server.events)
    config = WebConfig(
        data=tmp_path / "site",
        url=URL,
        index_url=index_server.config.public_url,
        index_root_sha256=index_server.root_sha256,
    )
    return Site(create_app(initialise(config)), config, PublicTree(tmp_path))


def test_feed_of_the_gate_is_followed(site: Site) -> None:
    assert site.refresh() > 0


@pytest.mark.parametrize("change", [unsigned, changed, by_a_stranger, under_the_gates_name])
def test_event_that_the_gate_did_not_sign_is_not_followed(site: Site, change: Change) -> None:
    site.app.extensions["envcli_index_transport"] = Meddler(change)
    with pytest.raises(IndexUnusableError):
        site.refresh()


def test_index_with_another_root_is_not_followed(site: Site) -> None:
    other = replace(site.config, index_root_sha256="0" * 64)
    event = httpx.get(f"{other.index_url}/feed/events/1.json").content
    FeedTrust(site.config).check(event)
    with pytest.raises(IndexUnusableError, match="another first root"):
        FeedTrust(other).check(event)


def test_fingerprint_must_be_one(site: Site) -> None:
    with pytest.raises(ConfigurationError):
        replace(site.config, index_root_sha256="abc")


def test_event_is_no_statement_and_needs_a_pinned_key(index_server: IndexServer) -> None:
    event = httpx.get(f"{index_server.config.public_url}/feed/events/1.json").content
    with pytest.raises(SignatureError):
        verify_payload(event, EVENT_TYPE, KeyRing(()), "gate", utc_now())
    with pytest.raises(MalformedError):
        parse_statement(event)


@pytest.mark.parametrize("lie", ["files", "publisher", "project_uuid"])
def test_record_that_contradicts_its_event_is_not_shown(tmp_path: Path, lie: str) -> None:
    (tmp_path / "tree").mkdir()
    with PublicTree(tmp_path / "tree") as tree:
        config = initialise(WebConfig(data=tmp_path / "site", url=URL, index_url=tree.url))
        site = Site(create_app(config), config, tree)
        tree.add("envcli-plugin-first")
        site.refresh()
        record = tree.add("envcli-plugin-x", release("1.0"))
        site.refresh()
        told = truth_about(record) | {lie: {"other.whl": digest_of("other")} if lie == "files" else "other"}
        tree.put("projects/envcli-plugin-x.json", record | {"summary": "A lie"})
        tell(tree, told)
        site.refresh()
        assert "A lie" not in site.client().get("/plugins/envcli-plugin-x").text


def truth_about(record: dict[str, Any]) -> dict[str, Any]:
    """What the gate's event says about a record's only release."""
    files = {item["filename"]: item["sha256"] for item in record["releases"][0]["files"]}
    uuid, publisher = record["project_uuid"], record["publisher"]["uuid"]
    return {
        "project": record["name"],
        "version": "1.0",
        "project_uuid": uuid,
        "publisher": publisher,
        "files": files,
    }


def tell(tree: PublicTree, data: dict[str, Any]) -> None:
    """Append an event with this content to the feed."""
    number = tree.emit(data["project"])
    path = tree.root / f"feed/events/{number}.json"
    body = body_of(path.read_bytes()) | {"data": data}
    envelope = json.loads(path.read_bytes()) | {
        "payload": base64.b64encode(json.dumps(body).encode()).decode()
    }
    digest = hashlib.sha256(tree.put(f"feed/events/{number}.json", envelope)).hexdigest()
    tree.put("feed/head.json", {"seq": number, "sha256": digest})
