"""The legacy upload form as twine and uv send it, read within limits.

Source: the legacy upload API as Warehouse documents it.
"""

import base64
from http import HTTPStatus
from typing import Any

from envcli_vetting.admission import MAX_ARCHIVE_BYTES

from envcli_index.upload.errors import GateError
from envcli_index.upload.verification import UploadedFile

MAX_FORM_BYTES = MAX_ARCHIVE_BYTES + 8 * 1024 * 1024
MAX_FIELD = 1024 * 1024
TOKEN_USER = "__token__"  # noqa: S105 the user name that stands for a token


def read_upload(request: Any) -> UploadedFile:
    """Read the form of an upload request.

    Args:
        request: a WebOb request.

    Raises:
        GateError: ``form-invalid`` or ``archive-too-large``.
    """
    length = request.content_length
    if length is None or length > MAX_FORM_BYTES:
        raise GateError("archive-too-large", f"the upload has no length or more than {MAX_FORM_BYTES} bytes")
    try:
        fields = request.POST
        texts = {name: value for name, value in reversed(list(fields.items())) if isinstance(value, str)}
        contents = [value for value in fields.getall("content") if not isinstance(value, str)]
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise _invalid(f"the form cannot be read ({str(error)[:100]})") from error
    if texts.get(":action") != "file_upload" or len(contents) != 1:
        raise _invalid("the form must hold :action=file_upload and one file named content")
    if any(len(text) > MAX_FIELD for text in texts.values()) or len(fields.getall("attestations")) > 1:
        raise _invalid("a field of the form is too large or repeated")
    content: bytes = contents[0].file.read()
    return UploadedFile(str(contents[0].filename), content, texts, texts.get("attestations"))


def read_token(authorization: str | None) -> str:
    """Return the API token of an ``Authorization`` header.

    Raises:
        GateError: ``token-invalid``.
    """
    scheme, _, encoded = (authorization or "").partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except ValueError:  # no base64, no ASCII or no UTF-8
        decoded = ""
    user, _, password = decoded.partition(":")
    if scheme.lower() != "basic" or user != TOKEN_USER or not password:
        raise GateError(
            "token-invalid",
            "the request carries no API token",
            remedy="Use the user name __token__ and an API token from the site as password",
            status=HTTPStatus.UNAUTHORIZED,
        )
    return password


def _invalid(message: str) -> GateError:
    return GateError("form-invalid", message, remedy="Upload with envcli plugin publish, twine or uv publish")
