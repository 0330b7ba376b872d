"""The write path over HTTP: uploads, decisions, takedowns, and what gate and worker ask of devpi.

Everything that devpi itself would answer is closed except two documents about the server. Our routes never
enter devpi's views: an upload is verified before a devpi transaction is opened, so that nobody waits for a
signature check.
"""

import errno
import hashlib
import json
import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from envcli_policy.errors import PolicyError
from envcli_vetting.admission import MAX_ARCHIVE_BYTES
from pyramid.response import Response
from sqlalchemy import Engine, select

from envcli_index import stages
from envcli_index.attestations.provenance import provenance_object
from envcli_index.config import IndexConfig
from envcli_index.credentials import holder_of
from envcli_index.database import file, read, write
from envcli_index.errors import IndexServiceError, StorageError
from envcli_index.releases import UnknownReleaseError
from envcli_index.reviewers import accept_decision, accept_takedown
from envcli_index.upload.claims import record_upload, withdraw_source
from envcli_index.upload.errors import GateError
from envcli_index.upload.form import read_token, read_upload
from envcli_index.upload.tokens import Principal, TokenVerifier
from envcli_index.upload.verification import VerifiedFile, verify_upload

log = logging.getLogger("envcli_index.writing")

STOCK_ROUTES = frozenset({"/+api", "/+status"})
_CREDENTIALS = ("Authorization", "X-Devpi-Auth")
MAX_ENVELOPE_BYTES = 1024 * 1024
MAX_LINE = 500

_STAGED = re.compile(r"/_/staged/([^/]+)/([^/]+)/([^/]+)")
_DEPENDENCY = re.compile(r"/_/deps/([^/]+)/([^/]+)/([^/]+)")
_RECORD = re.compile(r"/vetting/([a-z0-9-]+)/([^/]+)\.json")

Handler = Callable[[Any], Any]


class WritePath:
    """Answers the requests that devpi's own views never see.

    Args:
        config: the index.
        engine: its database.
        xom: devpi's server object.
    """

    def __init__(self, config: IndexConfig, engine: Engine, xom: Any) -> None:
        self._config, self._engine, self._xom = config, engine, xom
        self._tokens = TokenVerifier(config.web_url, config.run_dir / "issuer.json")

    def respond(self, request: Any, stock: Handler) -> Any:
        """Answer one request; only two of devpi's own documents are handed to ``stock``."""
        if request.path_info in STOCK_ROUTES and request.method in {"GET", "HEAD"}:
            return stock(_without_credentials(request))
        handler = self._route(request.method, request.path_info)
        if handler is None:
            return _answer(
                HTTPStatus.NOT_FOUND, "not-found: nothing is served here. Read from the public index"
            )
        try:
            return handler(request)
        except GateError as error:
            return self._refused(request, error.status, str(error))
        except PolicyError as error:
            return self._refused(request, HTTPStatus.BAD_REQUEST, f"{error.rule}: {error}")
        except UnknownReleaseError as error:
            return self._refused(request, HTTPStatus.NOT_FOUND, f"not-found: {error}")
        except StorageError as error:
            return self._refused(request, HTTPStatus.INSUFFICIENT_STORAGE, f"storage-full: {error}")
        except IndexServiceError as error:
            return self._refused(request, HTTPStatus.BAD_REQUEST, f"refused: {error}")
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise
            message = "storage-full: the index's disk is full. Try again later; nothing was stored"
            return self._refused(request, HTTPStatus.INSUFFICIENT_STORAGE, message)

    def _route(self, method: str, path: str) -> Handler | None:
        if method == "POST":
            posts: dict[str, Handler] = {
                "/upload/": self._upload,
                "/_/decisions": self._decision,
                "/_/takedowns": self._takedown,
                "/_/promote": self._promote,
            }
            return posts.get(path) or (self._store_dependency if _DEPENDENCY.fullmatch(path) else None)
        if method != "GET":
            return None
        if path == "/healthz":
            return self._health
        if _RECORD.fullmatch(path):
            return self._record
        return self._staged if _STAGED.fullmatch(path) else None

    def _refused(self, request: Any, status: HTTPStatus, line: str) -> Any:
        line = _one_line(line)
        log.warning("refused %s %s %d %s", request.method, quote(request.path_info), status, line)
        return _answer(status, line)

    def _health(self, request: Any) -> Any:  # noqa: ARG002 one signature for all handlers
        with read(self._engine) as connection:
            connection.execute(select(file.c.id).limit(1))
        return _answer(HTTPStatus.OK, "ok")

    def _upload(self, request: Any) -> Any:
        who = self._tokens.verify(read_token(request.headers.get("Authorization")))
        verified = verify_upload(read_upload(request), who, self._config)
        with write(self._engine) as connection:
            withdraw_source(connection, who, verified)
        with write(self._engine) as connection:
            new = record_upload(connection, who, verified, lambda: self._store(who, verified))
        log.info(
            "accepted %s sha256=%s publisher=%s token=%s new=%s",
            verified.filename,
            verified.sha256,
            who.publisher,
            who.token_id,
            new,
        )
        return _answer(HTTPStatus.OK, "accepted")

    def _store(self, who: Principal, upload: VerifiedFile) -> str:
        """Store the bytes and their provenance in the publisher's staging index; return devpi's path."""
        identity = upload.identity
        provenance = provenance_object(
            upload.attestations, publisher=who.publisher, identity=who.identity, issuer=who.issuer
        )
        with self._xom.keyfs.write_transaction():
            stage = stages.stage_of(self._xom.model, who.publisher, stages.STAGING)
            # no row knows a file of this name, so whatever lies there was withdrawn or left by a crash
            stages.discard_other(stage, identity.project, identity.version, upload.filename, upload.sha256)
            link = stages.store(stage, identity.project, identity.version, upload.filename, upload.content)
            stages.attach_attestation(stage, identity.project, identity.version, link, provenance)
            return str(link.relpath)

    def _decision(self, request: Any) -> Any:
        found = accept_decision(self._engine, self._config, _envelope(request))
        log.info("decision on %s", found.label)
        return _answer(HTTPStatus.ACCEPTED, f"accepted for {found.label}")

    def _takedown(self, request: Any) -> Any:
        takedown_id = accept_takedown(self._engine, self._config, _envelope(request))
        log.info("takedown %s", takedown_id)
        return _answer(HTTPStatus.ACCEPTED, takedown_id)

    def _record(self, request: Any) -> Any:
        """The vetting record that a reviewer signs over, for reviewers who know this address only."""
        path = self._config.public / request.path_info.lstrip("/")
        if ".." in path.parts or not path.is_file():
            raise UnknownReleaseError("there is no such release in vetting")
        return Response(body=path.read_bytes(), content_type="application/json")

    def _staged(self, request: Any) -> Any:
        self._require(request, "gate", "worker")
        project, version, filename = _names(_STAGED, request)
        with read(self._engine) as connection:
            path = connection.execute(select(file.c.relpath).where(file.c.filename == filename)).scalar()
        if path is None:
            raise UnknownReleaseError(f"no file {filename} was uploaded")
        user, index, _ = path.split("/", 2)
        with self._xom.keyfs.read_transaction():
            content, _ = stages.read(self._xom.model.getstage(user, index), project, version, filename)
        return Response(body=content, content_type="application/octet-stream")

    def _promote(self, request: Any) -> Any:
        """Copy a release from staging to the release index; a repeated call changes nothing."""
        self._require(request, "gate")
        order = json.loads(_body(request, MAX_ENVELOPE_BYTES))
        with self._xom.keyfs.write_transaction():
            model = self._xom.model
            source = stages.stage_of(model, order["publisher"], stages.STAGING)
            target = stages.stage_of(model, order["publisher"], stages.RELEASE)
            paths = stages.promote(source, target, order["project"], order["version"], order["files"])
        return Response(json_body={"paths": paths})

    def _store_dependency(self, request: Any) -> Any:
        """Store a curated dependency wheel; a repeated call changes nothing."""
        self._require(request, "gate")
        project, version, filename = _names(_DEPENDENCY, request)
        content = _body(request, MAX_ARCHIVE_BYTES)
        if request.headers.get("X-Content-SHA256") != hashlib.sha256(content).hexdigest():
            raise GateError("metadata-mismatch", f"{filename} arrived with another SHA-256 than announced")
        with self._xom.keyfs.write_transaction():
            stage = stages.stage_of(self._xom.model, stages.DEPS_USER, stages.DEPS_INDEX)
            link = stages.store(stage, project, version, filename, content)
            path = str(link.relpath)
        return Response(json_body={"path": path})

    def _require(self, request: Any, *holders: str) -> None:
        holder = holder_of(self._config.credentials, request.headers.get("Authorization"))
        if holder not in holders:
            raise GateError(
                "token-invalid", "this route is for the index's own processes", status=HTTPStatus.UNAUTHORIZED
            )


def _names(pattern: re.Pattern[str], request: Any) -> tuple[str, str, str]:
    found = pattern.fullmatch(request.path_info)
    if found is None:
        raise UnknownReleaseError("no such file")
    project, version, filename = (unquote(part) for part in found.groups())
    return project, version, filename


def _envelope(request: Any) -> bytes:
    return _body(request, MAX_ENVELOPE_BYTES)


def _body(request: Any, limit: int) -> bytes:
    if request.content_length is None or request.content_length > limit:
        raise GateError("form-invalid", f"the request has no length or more than {limit} bytes")
    body: bytes = request.body
    return body


def _without_credentials(request: Any) -> Any:
    """Nobody signs in at devpi, and comparing a password with its hash costs 0.3 s of CPU."""
    for name in _CREDENTIALS:
        request.headers.pop(name, None)
    return request


def _one_line(text: str) -> str:
    """Return what a log line or a reason phrase may hold: a quoted name could bring a line break along."""
    return "".join(character if character.isprintable() else "?" for character in text)[:MAX_LINE]


def _answer(status: HTTPStatus, line: str) -> Any:
    """Answer with one line, which is also the reason phrase: twine shows nothing else of a refusal."""
    plain = _one_line(line).encode("ascii", "replace").decode()
    phrase = plain if status >= HTTPStatus.BAD_REQUEST else status.phrase
    response = Response(status=f"{status.value} {phrase}", text=plain + "\n", content_type="text/plain")
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Basic realm="envcli index"'
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = "60"
    return response
