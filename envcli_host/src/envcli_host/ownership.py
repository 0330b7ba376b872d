"""Whose folders these are: what decides about plugins must have been written by the user, or by root."""

import os
import stat
from pathlib import Path

from envcli_host.config import HostPaths
from envcli_host.errors import ConfigError


def verify_own(paths: HostPaths) -> None:
    """Check the host's folders and what they lie in; those that do not exist yet pass.

    Raises:
        ConfigError: one belongs to another user, or everybody can put files into it.
    """
    folders = (paths.data, paths.config)
    for folder in dict.fromkeys((*folders, *(folder.parent for folder in folders))):
        try:
            status = folder.stat()
        except FileNotFoundError:
            continue
        _verify(folder, status)


def _verify(folder: Path, status: os.stat_result) -> None:
    if status.st_uid not in {os.geteuid(), 0}:
        raise ConfigError(
            f"{folder} belongs to another user (uid {status.st_uid}), who could decide what envcli trusts",
            remedy="Point ENVCLI_HOME at a folder of your own",
        )
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise ConfigError(
            f"{folder} can be written by everybody, who could decide what envcli trusts",
            remedy=f"Run: chmod o-w {folder}",
        )
