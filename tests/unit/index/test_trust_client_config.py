"""The ClientTrustConfig: what Sigstore's own client reads from it."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from common.sigstore_instance import new_index
from envcli_index.trust.client_config import FURTHER_ROOTS, client_config
from envcli_index.trust.errors import KeyFileError, TrustError
from sigstore.models import ClientTrustConfig


def test_sigstore_reads_it(tmp_path: Path) -> None:
    config = new_index(tmp_path / "index", "http://127.0.0.1:1")
    read = ClientTrustConfig.from_json(json.dumps(client_config(config)))
    assert read.signing_config.get_oidc_url() == config.web_url
    assert read.trusted_root.get_fulcio_certs()


def test_further_roots_are_merged_behind_our_own(tmp_path: Path) -> None:
    config = new_index(tmp_path / "index", "http://127.0.0.1:1")
    own = client_config(config)["trustedRoot"]
    (store,) = (
        path
        for path in (files("sigstore") / "_store").iterdir()
        if path.name.endswith("%2Fsigstore.dev") or path.name.endswith("tuf-repo-cdn.sigstore.dev")
    )
    public = json.loads((store / "trusted_root.json").read_text())
    (config.data / FURTHER_ROOTS).mkdir()
    (config.data / FURTHER_ROOTS / "public-good.json").write_text(json.dumps(public))
    merged = client_config(config)
    for part in ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"):
        assert merged["trustedRoot"][part] == [*own[part], *public.get(part, [])]
    ClientTrustConfig.from_json(json.dumps(merged))


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"mediaType": "application/json"}'])
def test_unreadable_further_root_is_named(tmp_path: Path, content: bytes) -> None:
    config = new_index(tmp_path / "index", "http://127.0.0.1:1")
    (config.data / FURTHER_ROOTS).mkdir()
    (config.data / FURTHER_ROOTS / "bad.json").write_bytes(content)
    with pytest.raises(TrustError, match=r"bad\.json"):
        client_config(config)


def test_missing_public_key_is_named(tmp_path: Path) -> None:
    config = new_index(tmp_path / "index", "http://127.0.0.1:1")
    (config.data / "keys" / "public" / "ct.pub").unlink()
    with pytest.raises(KeyFileError, match="envcli-index init"):
        client_config(config)
