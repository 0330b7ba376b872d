"""API tokens against the published keys and revocations of a real issuer, which may be late, down or replaced."""

import contextlib
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from common.oidc_issuer import PUBLISHER, OidcIssuer, running_issuer
from envcli_index.upload.errors import GateError
from envcli_index.upload.tokens import TokenVerifier
from joserfc.jwk import ECKey


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    """A running issuer of its own for each test."""
    with running_issuer() as running:
        yield running


def refused(verifier: TokenVerifier, token: str) -> str:
    """The rule by which a token is refused."""
    with pytest.raises(GateError) as caught:
        verifier.verify(token)
    return caught.value.rule


def test_token_speaks_for_its_publisher(issuer: OidcIssuer, tmp_path: Path) -> None:
    who = TokenVerifier(issuer.url, tmp_path / "cache.json").verify(issuer.api_token())
    assert (who.publisher, who.identity, who.issuer) == (PUBLISHER, issuer.identity(), issuer.url)


def test_revoked_token_is_refused(issuer: OidcIssuer, tmp_path: Path) -> None:
    jti = uuid.uuid4().hex
    issuer.revoked.append(jti)
    verifier = TokenVerifier(issuer.url, tmp_path / "cache.json")
    assert refused(verifier, issuer.api_token(jti=jti)) == "token-invalid"


def test_keys_and_revocations_are_fetched_once_for_many_uploads(issuer: OidcIssuer, tmp_path: Path) -> None:
    verifier = TokenVerifier(issuer.url, tmp_path / "cache.json")
    for _ in range(20):
        verifier.verify(issuer.api_token())
    assert len(issuer.requests) == 2


def test_site_may_be_down_for_a_while_even_over_a_restart(tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    with running_issuer() as issuer:
        TokenVerifier(issuer.url, cache).verify(issuer.api_token())
    who = TokenVerifier(issuer.url, cache).verify(issuer.api_token())
    assert who.publisher == PUBLISHER


def test_nothing_is_accepted_when_the_site_was_never_reached(tmp_path: Path) -> None:
    with running_issuer() as issuer:
        pass
    assert (
        refused(TokenVerifier(issuer.url, tmp_path / "cache.json"), issuer.api_token())
        == "token-revocation-stale"
    )


class LateIssuer(OidcIssuer):
    """An issuer whose list of revoked tokens is older than five minutes."""

    def document(self, path: str) -> dict[str, Any] | None:
        """Serve an old list."""
        if path != "/tokens/revoked.json":
            return super().document(path)
        old = int(time.time()) - 400
        return {"jwt": self.signed({"iss": self.url, "iat": old, "exp": old + 600, "revoked": []})}


def test_replayed_old_revocations_stop_uploads(issuer: OidcIssuer, tmp_path: Path) -> None:
    issuer.__class__ = LateIssuer
    assert (
        refused(TokenVerifier(issuer.url, tmp_path / "c.json"), issuer.api_token())
        == "token-revocation-stale"
    )


def test_revocations_signed_by_a_stranger_are_not_believed(issuer: OidcIssuer, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    TokenVerifier(issuer.url, cache).verify(issuer.api_token())
    stored = json.loads(cache.read_text())
    stranger = OidcIssuer(issuer.url)
    stored["revoked"] = {"jwt": stranger.signed({"iss": issuer.url, "iat": 0, "exp": 2**33, "revoked": []})}
    cache.write_text(json.dumps(stored))
    TokenVerifier(issuer.url, cache).verify(issuer.api_token())
    assert len(issuer.requests) == 4  # the forged cache was thrown away and the site asked again


def _outcome(verifier: TokenVerifier, token: str) -> str:
    try:
        verifier.verify(token)
    except GateError as error:
        return error.rule
    return "accepted"


def test_unknown_key_asks_the_site_again_but_not_for_every_request(
    issuer: OidcIssuer, tmp_path: Path
) -> None:
    verifier = TokenVerifier(issuer.url, tmp_path / "cache.json")
    verifier.verify(issuer.api_token())
    old = issuer.api_token()
    issuer.further_keys.append(issuer.key.as_dict(private=False))
    issuer.key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
    rules = {_outcome(verifier, issuer.api_token()) for _ in range(10)}
    assert rules <= {"accepted", "token-invalid"}
    assert len(issuer.requests) <= 4
    assert verifier.verify(old).publisher == PUBLISHER


def test_revocation_list_is_no_api_token(issuer: OidcIssuer, tmp_path: Path) -> None:
    verifier = TokenVerifier(issuer.url, tmp_path / "cache.json")
    document = issuer.document("/tokens/revoked.json")
    assert document is not None
    assert refused(verifier, "envcli-" + document["jwt"]) == "token-invalid"


class Flood(OidcIssuer):
    """An issuer whose key set is endless for all practical purposes."""

    def document(self, path: str) -> dict[str, Any] | None:
        """Serve a document of 20 MiB."""
        found = super().document(path)
        return found and found | {"padding": "x" * (20 << 20)}


def test_endless_answers_of_the_site_are_not_swallowed(issuer: OidcIssuer, tmp_path: Path) -> None:
    issuer.__class__ = Flood
    verifier = TokenVerifier(issuer.url, tmp_path / "c.json")
    assert refused(verifier, issuer.api_token()) == "token-revocation-stale"
    assert not (tmp_path / "c.json").exists()


def test_dripping_site_holds_nobody_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        started = time.monotonic()
        assert refused(TokenVerifier(url, tmp_path / "c.json"), OidcIssuer(url).api_token()) == (
            "token-revocation-stale"
        )
        assert time.monotonic() - started < 8


def drip(server: socket.socket) -> None:
    """Answer one request with a byte every half second."""
    connection, _ = server.accept()
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(60):
            connection.sendall(b" ")
            time.sleep(0.5)


def test_clock_that_went_back_does_not_keep_a_revoked_token_alive(
    issuer: OidcIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ahead = time.time, 7200.0
    verifier, jti = TokenVerifier(issuer.url, tmp_path / "c.json"), uuid.uuid4().hex
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    verifier.verify(issuer.api_token())
    issuer.revoked.append(jti)
    monkeypatch.setattr(time, "time", real)
    assert refused(verifier, issuer.api_token(jti=jti)) in {"token-invalid", "token-revocation-stale"}
