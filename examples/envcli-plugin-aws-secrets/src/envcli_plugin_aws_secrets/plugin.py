"""Contributes the scheme `aws-sm`: `envcli sync aws-sm:prod prod`.

The variable `API_KEY` of the environment `prod` is the secret `PREFIX/prod/API_KEY`. Credentials come from
the plugin's configuration alone: no profile, no `~/.aws`, no variable and no metadata service is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from envcli_sdk import Changes, Context, Integration, PluginError, Secret

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

RECOVERY_DAYS = 7
CONNECT_SECONDS = 10
READ_SECONDS = 30


@dataclass
class Config:
    """The `[config]` tables of plugin.toml."""

    access_key_id: str
    secret_access_key: Secret
    region: str = "us-east-1"
    prefix: str = "env-cli"
    endpoint_url: str = "https://secretsmanager.us-east-1.amazonaws.com"


class AwsSecrets(Integration):
    """Keeps each variable as one secret."""

    scheme = "aws-sm"
    config = Config

    def initialize(self, ctx: Context) -> None:
        """Open a client; boto3 is imported here because it takes most of the start."""
        self.ctx = ctx
        self.settings: Config = ctx.config
        host = urlsplit(self.settings.endpoint_url).hostname or ""
        if host.endswith(".amazonaws.com") and self.settings.region not in host.split("."):
            raise PluginError(
                f"endpoint_url {host} is not in region {self.settings.region}", tip="Configure both alike"
            )
        self.client = self._open_client()

    def pull(self, env: str) -> dict[str, Secret]:
        """Read every secret below the prefix of `env`."""
        root = self._name(env, "")
        with _explained():
            return {
                name: self._value(secret_id)
                for name, secret_id in self._identifiers(root).items()
                if name and "/" not in name
            }

    def push(self, env: str, changes: Changes) -> None:
        """Create, change and remove secrets; removed ones can be restored for a week."""
        with _explained():
            known = self._identifiers(self._name(env, ""))
            for name, secret in changes.set.items():
                if name in known:
                    self.client.put_secret_value(SecretId=known[name], SecretString=secret.value)
                else:
                    self._create(self._name(env, name), secret)
            for name in changes.delete:
                if name in known:
                    self.client.delete_secret(SecretId=known[name], RecoveryWindowInDays=RECOVERY_DAYS)

    def cleanup(self) -> None:
        """Close the connections."""
        self.client.close()

    def _open_client(self) -> SecretsManagerClient:
        import boto3
        import botocore.config
        import botocore.session

        # Each is (key, variable, default, conversion): no variable and no file is left to ask.
        nowhere: dict[str, Any] = {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
        session = boto3.session.Session(botocore_session=botocore.session.Session(session_vars=nowhere))
        limits = botocore.config.Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 3},
            proxies={},
        )
        return session.client(
            "secretsmanager",
            region_name=self.settings.region,
            endpoint_url=self.settings.endpoint_url,
            aws_access_key_id=self.settings.access_key_id,
            aws_secret_access_key=self.settings.secret_access_key.value,
            config=limits,
        )

    def _name(self, env: str, variable: str) -> str:
        return f"{self.settings.prefix.strip('/')}/{env}/{variable}"

    def _identifiers(self, root: str) -> dict[str, str]:
        """ARNs by variable. The service's filter ignores case, so names are compared once more."""
        pages = self.client.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "name", "Values": [root]}]
        )
        return {
            entry["Name"].removeprefix(root): entry["ARN"]
            for page in pages
            for entry in page["SecretList"]
            if entry["Name"].startswith(root)
        }

    def _value(self, secret_id: str) -> Secret:
        found = self.client.get_secret_value(SecretId=secret_id)
        if "SecretString" not in found:
            raise PluginError(
                f"{found['Name']} is binary", tip="Only text can be a variable; move it elsewhere"
            )
        return Secret(found["SecretString"], found["VersionId"])

    def _create(self, name: str, secret: Secret) -> None:
        from botocore.exceptions import ClientError

        try:
            self.client.create_secret(Name=name, SecretString=secret.value)
        except ClientError as error:
            # A name whose secret was removed lately is taken until the recovery window is over.
            if error.response["Error"]["Code"] not in {"InvalidRequestException", "ResourceExistsException"}:
                raise
            self.client.restore_secret(SecretId=name)
            self.client.put_secret_value(SecretId=name, SecretString=secret.value)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what went wrong in the user's words."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"].get("Code", "unknown")
        raise PluginError(
            f"AWS refused {error.operation_name} ({code})", tip="Check key, region and the key's policy"
        ) from error
    except BotoCoreError as error:
        raise PluginError(
            f"AWS cannot be used: {error}", tip="Check endpoint_url and its permission"
        ) from error
