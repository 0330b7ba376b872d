"""Real wheels, made in memory."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping

_EPOCH = (2024, 1, 1, 0, 0, 0)


def build_wheel(
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    requires: tuple[str, ...] = (),
    requires_python: str = ">=3.11",
    entry_points: str = "",
    tag: str = "py3-none-any",
) -> tuple[str, bytes, bytes]:
    """Build a wheel with METADATA, WHEEL and RECORD.

    Returns:
        File name, bytes of the archive, bytes of its METADATA.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {name}",
        f"Version: {version}",
        f"Requires-Python: {requires_python}",
    ]
    metadata = "\n".join([*lines, *(f"Requires-Dist: {text}" for text in requires), "", ""]).encode()
    wheel = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    content = {**files, f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel}
    if entry_points:
        content[f"{info}/entry_points.txt"] = entry_points.encode()
    record = "".join(f"{path},sha256={_urlsafe(data)},{len(data)}\n" for path, data in content.items())
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    return f"{stem}-{tag}.whl", _zip(content), metadata


def _zip(content: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), data)
    return stream.getvalue()


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
