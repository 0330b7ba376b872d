"""The unmodified Sigstore and PEP 740 clients sign and verify against our own instance, through real processes."""

import os
import subprocess
import sys
from pathlib import Path

from common.sigstore_instance import (
    SigstoreInstance,
    sigstore_instance,
)

__all__ = ["sigstore_instance"]

WHEEL = "envcli_plugin_example-1.0.0-py3-none-any.whl"


def sigstore_cli(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the Sigstore command line with a home of its own."""
    environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    command = [sys.executable, "-m", "sigstore", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def sign(instance: SigstoreInstance, home: Path, artifact: Path) -> Path:
    """Sign ``artifact`` and return its bundle."""
    token = instance.issuer.identity_token()
    trust = str(instance.trust_config)
    done = sigstore_cli(home, "--trust-config", trust, "sign", "--identity-token", token, str(artifact))
    assert done.returncode == 0, done.stderr
    return artifact.with_name(artifact.name + ".sigstore.json")


def verify(instance: SigstoreInstance, home: Path, artifact: Path, identity: str) -> int:
    """Verify ``artifact`` offline with the Sigstore command line and return its exit status."""
    trust, issuer = str(instance.trust_config), instance.issuer.url
    done = sigstore_cli(
        home,
        *("--trust-config", trust, "verify", "identity", "--offline", "--cert-identity", identity),
        *("--cert-oidc-issuer", issuer, str(artifact)),
    )
    return done.returncode


def test_command_line_signs_and_verifies(sigstore_instance: SigstoreInstance, tmp_path: Path) -> None:
    artifact = tmp_path / WHEEL
    artifact.write_bytes(b"a wheel")
    sign(sigstore_instance, tmp_path, artifact)
    assert verify(sigstore_instance, tmp_path, artifact, sigstore_instance.issuer.identity()) == 0
    assert verify(sigstore_instance, tmp_path, artifact, sigstore_instance.issuer.identity() + "0") != 0
    artifact.write_bytes(b"another wheel")
    assert verify(sigstore_instance, tmp_path, artifact, sigstore_instance.issuer.identity()) != 0
