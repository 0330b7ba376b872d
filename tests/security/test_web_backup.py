"""A tampered copy of a marketplace is refused before anything of it is written."""

import io
import tarfile
from pathlib import Path

import pytest
from envcli_web.errors import ConfigurationError
from envcli_web.market.backup import restore
from envcli_web.market.settings import FILE_NAME


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """One member of a hostile archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    "hostile",
    [
        member("../escaped"),
        member("web/../../escaped"),
        member("/tmp/escaped-envcli"),
        member("web/link", tarfile.SYMTYPE),
        member("web/hard", tarfile.LNKTYPE),
        member("web/device", tarfile.CHRTYPE),
        member("web/fifo", tarfile.FIFOTYPE),
    ],
    ids=lambda info: info.name,
)
def test_members_that_no_copy_holds_are_refused(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    copy, data = tmp_path / "copy.tar", tmp_path / "market"
    with tarfile.open(copy, "w") as archive:
        archive.addfile(member(FILE_NAME), io.BytesIO())
        archive.addfile(hostile)
    with pytest.raises(ConfigurationError, match="which no copy of a marketplace holds"):
        restore(copy, data)
    assert not data.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["copy.tar"]
