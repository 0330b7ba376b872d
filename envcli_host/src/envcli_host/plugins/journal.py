"""All or nothing for changes of the plugin store: what stood there before is written down first.

A journal holds the registry and the grants as they were and the folders that the change creates. Committing
removes it; a failure, or the next change after a crash, puts everything back.
"""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from envcli_host.config import HostPaths
from envcli_host.files import read_bounded, write_atomically
from envcli_host.plugins.errors import RegistryError
from envcli_host.plugins.registry import registry_lock
from envcli_host.plugins.store import discard, sweep

_MAX_BYTES = 64 << 20
_RELEASE = re.compile(r"[a-z0-9][a-z0-9-]{0,99}/[0-9][0-9a-z.+!_]{0,63}")
_ASIDE = re.compile(r"\.replaced-[0-9a-f]{12}")


@contextmanager
def change(paths: HostPaths, creates: tuple[Path, ...] = ()) -> Iterator[None]:
    """Hold the registry's lock and undo everything in the block if it raises.

    Args:
        paths: the host's directories.
        creates: release folders that the block creates; what stands there is moved aside and comes back on failure.
    """
    with registry_lock(paths):
        recover(paths)
        try:
            asides = _begin(paths, creates)
            yield
        except BaseException:
            recover(paths)
            raise
        _file(paths).unlink()
        for aside in asides:
            discard(aside)


def recover(paths: HostPaths) -> bool:
    """Undo an unfinished change, if there is one; call it inside the registry's lock.

    Returns:
        Whether something was undone.
    """
    try:
        raw = json.loads(read_bounded(_file(paths), _MAX_BYTES))
        _verify(raw)
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(
            f"{_file(paths)} is malformed, so an interrupted change cannot be undone",
            remedy="Remove it, then run: envcli plugin doctor",
        ) from error
    for relative, aside in raw["creates"].items():
        if (paths.plugins_dir / aside).exists():
            discard(paths.plugins_dir / relative)
            (paths.plugins_dir / aside).rename(paths.plugins_dir / relative)
        elif not raw["existed"][relative]:
            discard(paths.plugins_dir / relative)
    _restore(paths.registry_file, raw["registry"])
    _restore(paths.grants_file, raw["grants"])
    sweep(paths)
    _file(paths).unlink()
    return True


def is_pending(paths: HostPaths) -> bool:
    """Whether a change was interrupted and not yet undone."""
    return _file(paths).exists()


def _begin(paths: HostPaths, creates: tuple[Path, ...]) -> tuple[Path, ...]:
    """Write the journal, then clear the places. Return where what stood there went."""
    names = {
        str(path.relative_to(paths.plugins_dir)): f".replaced-{secrets.token_hex(6)}" for path in creates
    }
    existed = {name: (paths.plugins_dir / name).exists() for name in names}
    entry = {
        "creates": names,
        "existed": existed,
        "registry": _content(paths.registry_file),
        "grants": _content(paths.grants_file),
    }
    write_atomically(_file(paths), json.dumps(entry).encode())
    for name, aside in names.items():
        if existed[name]:
            (paths.plugins_dir / name).rename(paths.plugins_dir / aside)
    return tuple(paths.plugins_dir / aside for aside in names.values())


def _content(path: Path) -> str | None:
    try:
        return read_bounded(path, _MAX_BYTES).decode()
    except FileNotFoundError:
        return None


def _restore(path: Path, content: str | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif content != _content(path):
        write_atomically(path, content.encode())


def _verify(raw: Any) -> None:
    """Raise ValueError, or what a missing or mistyped entry raises, unless every folder is one that installs make."""
    for relative, aside in raw["creates"].items():
        if not _RELEASE.fullmatch(relative) or not _ASIDE.fullmatch(aside):
            raise ValueError("a folder that no install makes")
        bool(raw["existed"][relative])
    for name in ("registry", "grants"):
        if not isinstance(raw[name], str | None):
            raise TypeError(name)


def _file(paths: HostPaths) -> Path:
    return paths.data / "journal.json"
