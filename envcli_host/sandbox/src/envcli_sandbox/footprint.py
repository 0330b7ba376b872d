"""Which files of the machine a bare interpreter needs, and nothing more of it."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CERTIFICATE_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
_PUBLIC_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/crypto-policies",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust/extracted",
    "/usr/lib/locale",
    "/usr/lib/os-release",
    "/usr/lib/ssl/openssl.cnf",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
)
_SITE_FOLDERS = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the interpreter needs.

    Attributes:
        interpreter: the executable, outside every virtual environment.
        readable: absolute files and folders.
        hidden: folders below them that hold the host's installed packages.
        links: symbolic links at the root through which libraries are named, with their targets.
        environment: variables that say where certificates are.
    """

    interpreter: Path
    readable: tuple[Path, ...]
    hidden: tuple[Path, ...]
    links: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]


@cache
def find_footprint() -> Footprint:
    """Return what this interpreter needs, looked up once per process."""
    interpreter = Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()
    standard_library = Path(os.__file__).resolve().parent
    libraries = tuple(dict.fromkeys(_library_folders()))
    certificates = tuple(
        (name, os.environ[name]) for name in _CERTIFICATE_VARIABLES if _is_present(os.environ.get(name))
    )
    candidates = (
        interpreter,
        standard_library,
        *libraries,
        *Path(sys.base_prefix, "lib").glob("*.so*"),
        *map(Path, _PUBLIC_FILES),
        *(Path(path).absolute() for _, path in certificates),
    )
    return Footprint(
        interpreter,
        tuple(dict.fromkeys(path for path in candidates if path.exists())),
        tuple(dict.fromkeys((*_site_folders(standard_library), *_sites_below(libraries)))),
        tuple((name, str(Path(name).readlink())) for name in ("/lib", "/lib64") if Path(name).is_symlink()),
        certificates,
    )


def _is_present(path: str | None) -> bool:
    return bool(path) and Path(path or "").exists()


def _library_folders() -> Iterator[Path]:
    """Yield the folders of shared libraries: a distribution's multiarch ones, or the plain ones."""
    multiarch = getattr(sys.implementation, "_multiarch", "")
    found = [Path(root, multiarch) for root in ("/lib", "/usr/lib", "/usr/local/lib") if multiarch]
    found = [folder for folder in found if folder.is_dir()]
    plain = ("/lib64", "/usr/lib64") if found else ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
    for folder in (*found, *map(Path, plain)):
        if folder.is_dir():
            yield folder.resolve()


def _site_folders(folder: Path) -> Iterator[Path]:
    return (folder / name for name in _SITE_FOLDERS if (folder / name).is_dir())


def _sites_below(libraries: tuple[Path, ...]) -> Iterator[Path]:
    """Yield package folders of any Python that lies inside a folder of libraries."""
    for library in libraries:
        for folder in library.glob("python*"):
            yield from _site_folders(folder)
