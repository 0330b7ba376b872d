"""Looking for problems of a marketplace without changing anything."""

import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envcli_web.errors import WebError
from envcli_web.market.parts import parts_of
from envcli_web.market.settings import MarketSettings
from envcli_web.market.setup import root_fingerprint

LOW_BYTES = 1 << 30
SECRET_PLACES = ("web/keys", "index/keys", "index/credentials")
PUBLIC_FOLDER = "public"  # public halves lie among the keys, for everybody to read


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    is_good: bool
    text: str


def _secrets(data: Path) -> Iterator[Finding]:
    for place in SECRET_PLACES:
        loose = [
            path
            for path in sorted((data / place).rglob("*"))
            if path.is_file()
            and path.parent.name != PUBLIC_FOLDER
            and stat.S_IMODE(path.stat().st_mode) & 0o077
        ]
        if loose:
            yield Finding(False, f"{loose[0]} can be read by others; run: chmod 600 {loose[0]}")
        else:
            yield Finding((data / place).is_dir(), f"{place}: secrets are private")


def _root(settings: MarketSettings) -> Finding:
    try:
        return Finding(True, f"trust root sha256 {root_fingerprint(settings)}")
    except WebError as error:
        return Finding(False, str(error))


def examine(settings: MarketSettings) -> list[Finding]:
    """Look at secrets, trust root, disk and every part."""
    free = shutil.disk_usage(settings.data).free
    findings = [*_secrets(settings.data), _root(settings)]
    findings.append(Finding(free > LOW_BYTES, f"{free >> 20} MiB of disk are free"))
    for part in parts_of(settings):
        is_well = part.check.is_well()
        findings.append(Finding(is_well, f"{part.name} {'answers' if is_well else 'does not answer'}"))
    return findings
