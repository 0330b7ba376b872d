"""Contributes the scheme `vault`: `envcli sync vault:prod prod`.

An environment is one secret of the KV version 2 engine, `PREFIX/ENVIRONMENT`, with a field for each variable.
It is written with check-and-set, so that nobody else's change in between is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from envcli_sdk import Changes, Context, Integration, PluginError, Secret

SECONDS = 30


@dataclass
class Config:
    """The `[config]` tables of plugin.toml."""

    endpoint_url: str
    token: Secret
    mount: str = "secret"
    prefix: str = "env-cli"
    namespace: str = ""


class Vault(Integration):
    """Keeps each environment as one secret."""

    scheme = "vault"
    config = Config

    def initialize(self, ctx: Context) -> None:
        """Open a client that looks at no variable, no `~/.vault-token` and no proxy setting."""
        import hvac
        import requests

        self.settings: Config = ctx.config
        session = requests.Session()
        session.trust_env = False
        self.client = hvac.Client(
            url=self.settings.endpoint_url,
            token=self.settings.token.value,
            namespace=self.settings.namespace or None,
            session=session,
            timeout=SECONDS,
        )

    def pull(self, env: str) -> dict[str, Secret]:
        """Read every field of the environment's secret."""
        values, version = self._read(env)
        return {name: Secret(value, str(version)) for name, value in values.items()}

    def push(self, env: str, changes: Changes) -> None:
        """Write the changed whole, unless somebody else wrote since it was read."""
        values, version = self._read(env)
        values |= {name: secret.value for name, secret in changes.set.items()}
        kept = {name: value for name, value in values.items() if name not in changes.delete}
        with _explained(self._path(env)):
            self.client.secrets.kv.v2.create_or_update_secret(
                path=self._path(env), secret=kept, cas=version, mount_point=self.settings.mount
            )

    def cleanup(self) -> None:
        """Close the connections."""
        self.client.adapter.close()

    def _path(self, env: str) -> str:
        return f"{self.settings.prefix.strip('/')}/{env}"

    def _read(self, env: str) -> tuple[dict[str, str], int]:
        """Return the fields and their version; an environment that is not there yet has version 0."""
        import hvac

        with _explained(self._path(env)):
            try:
                found: dict[str, Any] = self.client.secrets.kv.v2.read_secret_version(
                    path=self._path(env), mount_point=self.settings.mount, raise_on_deleted_version=False
                )
            except hvac.exceptions.InvalidPath:
                return {}, 0
        fields = found["data"]["data"] or {}
        wrong = sorted(name for name, value in fields.items() if not isinstance(value, str))
        if wrong:
            raise PluginError(f"{self._path(env)} holds {wrong[0]}, which is no text", tip="Store texts only")
        return dict(fields), int(found["data"]["metadata"]["version"])


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Say what went wrong in the user's words."""
    import hvac
    import requests

    try:
        yield
    except hvac.exceptions.Forbidden as error:
        raise PluginError(f"Vault refuses access to {path}", tip="Check the token and its policy") from error
    except hvac.exceptions.InvalidRequest as error:
        raise PluginError(
            f"Vault did not write {path}", tip="Somebody else changed it meanwhile; synchronise again"
        ) from error
    except (hvac.exceptions.VaultError, requests.RequestException) as error:
        raise PluginError(
            f"Vault cannot be used: {type(error).__name__}", tip="Check endpoint_url and its grant"
        ) from error
