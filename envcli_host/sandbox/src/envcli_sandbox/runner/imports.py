"""What the child can import: the standard library, then the folders of its policy, and nothing of the
host."""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from typing import Any

from envcli_sandbox.errors import SandboxError


class _KnownFolder(FileFinder):
    """A folder whose listing was read before it was closed and is kept from then on."""

    def invalidate_caches(self) -> None:
        """Keep the listing: it cannot be read again, and the folder does not change."""


def remember_standard_library() -> None:
    """Read the listing of every folder on ``sys.path``, which by now is the standard library's.

    Where packages of the host lie inside the standard library's folder, the folder cannot be listed once
    files are restricted, though its modules can still be read.
    """
    for folder in sys.path:
        finder = _KnownFolder(
            folder,
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (SourceFileLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )
        finder.find_spec("envcli_sandbox")
        sys.path_importer_cache[folder] = finder


def forget_folder(folder: str) -> None:
    """Take a folder of the host off ``sys.path``."""
    sys.path.remove(folder)
    sys.path_importer_cache.pop(folder, None)


def search_in(folders: Sequence[str]) -> None:
    """Let imports look into ``folders``, behind the standard library, which they cannot shadow."""
    sys.dont_write_bytecode = True
    sys.path.extend(folders)


def load_function(name: str) -> Callable[..., Any]:
    """Import ``module:function``.

    Raises:
        SandboxError: it is not a function that can be called.
    """
    module, _, attribute = name.partition(":")
    function: object = getattr(importlib.import_module(module), attribute, None)
    if not callable(function):
        raise SandboxError(f"guest {name!r} is not a function; name it as module:function")
    return function
