"""Hostile uploads: each is refused with its rule, and nothing of it is stored."""

import base64
import dataclasses
import gzip
import hashlib
import hmac
import io
import json
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from common.index_server import IndexServer, Plugin, index_server, plugin_wheel
from envcli_index.credentials import read_token
from envcli_index.database import connect, file, read, utc_now, write
from envcli_index.releases import UnknownReleaseError
from envcli_index.upload.claims import drop_incomplete
from envcli_vetting.admission import MAX_ARCHIVE_BYTES
from envcli_vetting.zip_structure import ArchiveLimits
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import select

__all__ = ["index_server"]

OTHER_PUBLISHER = "11111111-2222-4333-8444-555555555555"


def rule(answer: httpx.Response) -> str:
    """The rule id, which body and reason phrase must agree on."""
    found = answer.text.split(":", 1)[0]
    assert 400 <= answer.status_code < 600
    assert answer.reason_phrase.startswith(found)
    assert len(answer.text.strip().splitlines()) == 1
    return found


def assert_refused(server: IndexServer, plugin: Plugin, answer: httpx.Response, expected: str) -> None:
    """The answer names the rule, and neither database nor devpi knows the file."""
    assert rule(answer) == expected, answer.text
    with read(connect(server.config)) as connection:
        assert connection.execute(select(file.c.id).where(file.c.filename == plugin.filename)).first() is None
    stored = [path for path in server.config.devpi_dir.rglob(plugin.filename) if path.is_file()]
    assert stored == []


def rezipped(plugin: Plugin, change: Callable[[dict[str, bytes]], None], *, record: bool = True) -> Plugin:
    """The wheel with changed members; RECORD is made anew unless it is to disagree."""
    from common.wheels import _urlsafe, _zip

    with zipfile.ZipFile(io.BytesIO(plugin.content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(one for one in members if one.endswith("/RECORD"))
    old = members.pop(name)
    change(members)
    rows = "".join(f"{path},sha256={_urlsafe(data)},{len(data)}\n" for path, data in members.items())
    members[name] = f"{rows}{name},,\n".encode() if record else old
    return dataclasses.replace(plugin, content=_zip(members))


def with_member(name: str, data: bytes = b"x") -> Callable[[dict[str, bytes]], None]:
    """A change that adds one member."""
    return lambda members: members.update({name: data})


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "a/../../evil.py",
        "/etc/evil",
        "a\\..\\evil.py",
        "C:/evil.py",
        "a//evil.py",
        "evil\n.py",
        "start.pth",
        "deep/start.PTH",
        "envcli_sdk/__init__.py",
        "pluggy.py",
        "sitecustomize.py",
        "x-1.0.data/scripts/run",
    ],
)
def test_unsafe_member_names_are_refused(index_server: IndexServer, name: str) -> None:
    plugin = rezipped(plugin_wheel(), with_member(name))
    assert_refused(index_server, plugin, index_server.upload(plugin), "archive-unsafe")


def test_zip_bombs_are_refused_before_unpacking(index_server: IndexServer) -> None:
    def add(archive: zipfile.ZipFile) -> None:
        archive.writestr("zeros.bin", bytes(40 << 20), compress_type=zipfile.ZIP_DEFLATED)

    plugin = _appended(plugin_wheel(), add)
    assert len(plugin.content) < 1 << 20
    assert_refused(index_server, plugin, index_server.upload(plugin), "archive-too-large")


def test_many_members_are_refused(index_server: IndexServer) -> None:
    def many(members: dict[str, bytes]) -> None:
        members.update({f"m/{number}": b"" for number in range(20_001)})

    plugin = rezipped(plugin_wheel(), many)
    assert_refused(index_server, plugin, index_server.upload(plugin), "archive-too-large")


def test_record_that_disagrees_is_refused(index_server: IndexServer) -> None:
    for change in (with_member("extra.py"), _tamper, _drop):
        plugin = rezipped(plugin_wheel(), change, record=False)
        assert_refused(index_server, plugin, index_server.upload(plugin), "archive-unsafe")


def _tamper(members: dict[str, bytes]) -> None:
    members[next(name for name in members if name.endswith("plugin.py"))] += b"import os\n"


def _drop(members: dict[str, bytes]) -> None:
    del members[next(name for name in members if name.endswith("plugin.py"))]


def test_symbolic_links_are_refused(index_server: IndexServer) -> None:
    def add(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("envcli_link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")

    plugin = _appended(plugin_wheel(), add)
    assert_refused(index_server, plugin, index_server.upload(plugin), "archive-unsafe")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_members_are_refused(index_server: IndexServer) -> None:
    def add(archive: zipfile.ZipFile) -> None:
        archive.writestr(archive.namelist()[1], b"print('second reading')\n")

    plugin = _appended(plugin_wheel(), add)
    assert_refused(index_server, plugin, index_server.upload(plugin), "archive-unsafe")


def _appended(plugin: Plugin, add: Callable[[zipfile.ZipFile], None]) -> Plugin:
    stream = io.BytesIO(plugin.content)
    with zipfile.ZipFile(stream, "a") as archive:
        add(archive)
    return dataclasses.replace(plugin, content=stream.getvalue())


@pytest.mark.parametrize("place", ["front", "back", "comment"])
def test_hidden_data_around_the_archive_is_refused(index_server: IndexServer, place: str) -> None:
    plugin = plugin_wheel()
    if place == "comment":
        changed = _appended(plugin, lambda archive: setattr(archive, "comment", b"#!/bin/sh"))
    else:
        content = b"#!/bin/sh\n" + plugin.content if place == "front" else plugin.content + b"tail"
        changed = dataclasses.replace(plugin, content=content)
    assert_refused(index_server, changed, index_server.upload(changed), "archive-unsafe")


def test_local_header_with_another_name_is_refused(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    name = plugin.project.replace("-", "_").encode() + b"/plugin.py"
    changed = dataclasses.replace(plugin, content=plugin.content.replace(name, name[:-4] + b"q.py"[:4], 1))
    assert_refused(index_server, changed, index_server.upload(changed), "archive-unsafe")


def test_no_archive_at_all_is_refused(index_server: IndexServer) -> None:
    for content in (b"", b"PK\x03\x04", b"not a zip" * 100, b"PK\x05\x06" + bytes(18)):
        plugin = dataclasses.replace(plugin_wheel(), content=content)
        answer = index_server.upload(plugin)
        assert rule(answer) in {"archive-unsafe", "form-invalid"}


def test_metadata_of_another_project_is_refused(index_server: IndexServer) -> None:
    def lie(members: dict[str, bytes]) -> None:
        name = next(one for one in members if one.endswith("/METADATA"))
        members[name] = members[name].replace(b"\nVersion: 1.0", b"\nVersion: 2.0")

    plugin = rezipped(plugin_wheel(), lie)
    assert_refused(index_server, plugin, index_server.upload(plugin), "metadata-mismatch")


def test_form_must_say_what_the_file_says(index_server: IndexServer) -> None:
    for form in (
        {"version": "9"},
        {"name": "envcli-plugin-other"},
        {"sha256_digest": "0" * 64},
        {"version": "x"},
    ):
        plugin = plugin_wheel()
        assert_refused(index_server, plugin, index_server.upload(plugin, form=form), "metadata-mismatch")


def test_dependency_by_url_is_refused(index_server: IndexServer) -> None:
    plugin = plugin_wheel(requires=("boto3 @ https://evil.example/boto3-1-py3-none-any.whl",))
    assert_refused(index_server, plugin, index_server.upload(plugin), "metadata-invalid")


@pytest.mark.parametrize("name", ["boto3", "envcli-sdk", "envcli", "envcli-plugins", "envcli-plugin"])
def test_names_outside_the_publishers_range_are_refused(index_server: IndexServer, name: str) -> None:
    plugin = dataclasses.replace(
        plugin_wheel(), project=name, filename=f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    )
    assert_refused(index_server, plugin, index_server.upload(plugin), "name-reserved")


@pytest.mark.parametrize(
    "filename",
    ["evil.exe", "../../etc/passwd", "envcli_plugin_x-1.0.zip", "envcli_plugin_x-1.0+local-py3-none-any.whl"],
)
def test_odd_file_names_are_refused(index_server: IndexServer, filename: str) -> None:
    plugin = dataclasses.replace(plugin_wheel(), filename=filename)
    assert rule(index_server.upload(plugin)) == "filename-invalid"


def test_manifest_and_entry_point_are_required(index_server: IndexServer) -> None:
    def drop(ending: str) -> Callable[[dict[str, bytes]], None]:
        return lambda members: members.pop(next(name for name in members if name.endswith(ending))) and None

    def broken(members: dict[str, bytes]) -> None:
        members[next(name for name in members if name.endswith("plugin.toml"))] = b"schema = ["

    cases = {"manifest-missing": drop("plugin.toml"), "entry-point-missing": drop("entry_points.txt")}
    for expected, change in {**cases, "manifest-invalid": broken}.items():
        plugin = rezipped(plugin_wheel(), change)
        assert_refused(index_server, plugin, index_server.upload(plugin), expected)


def test_missing_foreign_and_forged_attestations_are_refused(index_server: IndexServer) -> None:
    plugin, other = plugin_wheel(), plugin_wheel()
    good = json.loads(index_server.attest(plugin))
    forged = json.loads(json.dumps(good))
    forged[0]["envelope"]["signature"] = base64.b64encode(b"\x30\x06\x02\x01\x01\x02\x01\x01").decode()
    cases = {
        "": "attestation-missing",
        "[]": "attestation-missing",
        "{": "attestation-invalid",
        "[" * 5000: "attestation-invalid",
        json.dumps([{"version": 1}]): "attestation-invalid",
        json.dumps(forged): "attestation-invalid",
        json.dumps(good * 9): "attestation-invalid",
        index_server.attest(other): "attestation-subject-mismatch",
        index_server.attest(plugin, OTHER_PUBLISHER): "attestation-identity",
    }
    for attestations, expected in cases.items():
        answer = index_server.upload(plugin, attestations=attestations)
        assert_refused(index_server, plugin, answer, expected)


def test_name_and_version_belong_to_their_publisher(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    assert index_server.upload(plugin).status_code == 200
    short = plugin.project.removeprefix("envcli-plugin-")
    stolen = plugin_wheel(short, "2.0")
    answer = index_server.upload(stolen, publisher=OTHER_PUBLISHER)
    assert_refused(index_server, stolen, answer, "name-owned")
    alike = plugin_wheel(f"{short[:3]}-{short[3:]}")
    answer = index_server.upload(alike, publisher=OTHER_PUBLISHER)
    assert_refused(index_server, alike, answer, "name-similar")
    assert index_server.upload(plugin).status_code == 200  # the very same file again is no error
    changed = plugin_wheel(short, files={"more.py": b"x = 1\n"})
    assert rule(index_server.upload(changed)) == "version-exists"
    assert index_server.release(plugin).files[0].sha256 == plugin.sha256


def _hmac_signed(payload: str, secret: bytes, kid: str) -> str:
    header = json.dumps({"alg": "HS256", "kid": kid, "typ": "envcli-api+jwt"}).encode()
    signed = base64.urlsafe_b64encode(header).rstrip(b"=").decode() + "." + payload
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return signed + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def bad_tokens(server: IndexServer) -> dict[str, str]:
    """Tokens that must not work, by what is wrong with them."""
    issuer, now = server.issuer, int(time.time())
    good = server.token().removeprefix("envcli-")
    header, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    none_header = (
        base64.urlsafe_b64encode(b'{"alg":"none","typ":"envcli-api+jwt","kid":"x"}').rstrip(b"=").decode()
    )
    stranger = ECKey.generate_key("P-256", {"kid": issuer.key.kid})
    confused = _hmac_signed(payload, issuer.key.as_pem(private=False), issuer.key.kid)
    named = {"kid": issuer.key.kid, "typ": "envcli-api+jwt"}
    return {
        "password": "hunter2",
        "empty": "envcli-",
        "no prefix": good,
        "alg none": f"envcli-{none_header}.{payload}.",
        "no signature": f"envcli-{header}.{payload}.",
        "other payload": f"envcli-{header}.{base64.urlsafe_b64encode(b'{}').decode()}.{signature}",
        "stranger's key": "envcli-" + jwt.encode({"alg": "ES256", **named}, claims, stranger),
        "public key as HMAC key": f"envcli-{confused}",
        "expired": server.token(exp=now - 3600),
        "from the future": server.token(iat=now + 3600),
        "no expiry": server.token(exp=None),
        "other audience": server.token(aud="sigstore"),
        "other issuer": server.token(iss="http://127.0.0.1:9"),
        "identity token": "envcli-" + issuer.identity_token(),
        "identity claims": "envcli-" + issuer.signed(claims),
        "no id": server.token(jti=None),
        "overlong": "envcli-" + "a" * 10_000,
    }


def test_forged_and_stale_tokens_are_refused(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    attestations = index_server.attest(plugin)
    for name, token in bad_tokens(index_server).items():
        answer = index_server.upload(plugin, token=token, attestations=attestations)
        assert answer.status_code == 401, (name, answer.text)
        assert_refused(index_server, plugin, answer, "token-invalid")


@pytest.mark.parametrize(
    "changes", [{"scope": ["receipt"]}, {"scope": "upload"}, {"publisher": None}, {"publisher": "../../root"}]
)
def test_tokens_without_the_right_are_refused(index_server: IndexServer, changes: dict[str, object]) -> None:
    plugin = plugin_wheel()
    answer = index_server.upload(plugin, token=index_server.token(**changes))
    assert_refused(index_server, plugin, answer, "token-scope")


def test_source_archive_is_staged_but_never_public(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    archive = source(plugin)
    assert index_server.upload(archive).status_code == 200
    index_server.publish(plugin)
    release = index_server.release(plugin)
    assert {one.kind for one in release.files} == {"wheel", "sdist"}
    assert not list(index_server.config.public.rglob("*.tar.gz"))


def test_version_is_used_up_by_its_first_wheel_not_by_a_source_archive(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    top = f"{plugin.project.replace('-', '_')}-{plugin.version}"
    first, second, third = (source(plugin, _entry(f"{top}/file", size=size)) for size in (1, 2, 3))
    assert index_server.upload(first).status_code == 200
    broken = rezipped(plugin, _break_manifest)
    assert rule(index_server.upload(broken)) == "manifest-invalid"
    assert index_server.upload(second).status_code == 200
    assert [one.sha256 for one in index_server.release(plugin).files] == [second.sha256]
    assert index_server.upload(plugin).status_code == 200
    index_server.wait_state(plugin, "checking")
    assert rule(index_server.upload(third)) == "version-exists"
    assert {one.sha256 for one in index_server.release(plugin).files} == {second.sha256, plugin.sha256}
    assert _staged(index_server, second).content == second.content


def test_source_archive_without_a_wheel_is_neither_vetted_nor_shown(index_server: IndexServer) -> None:
    lonely, whole = plugin_wheel(), plugin_wheel()
    assert index_server.upload(source(lonely)).status_code == 200
    assert index_server.upload(whole).status_code == 200
    index_server.wait_state(whole, "checking")
    index_server.wait_for(lambda: _is_queued(index_server, whole))
    assert not _is_queued(index_server, lonely)
    assert index_server.release(lonely).state == "submitted"
    assert index_server.get_json(f"/vetting/{lonely.project}/{lonely.version}.json") is None


def test_source_archive_whose_wheel_never_comes_is_dropped(index_server: IndexServer) -> None:
    lonely, whole = plugin_wheel(), plugin_wheel()
    for one in (source(lonely), source(whole), whole):
        assert index_server.upload(one).status_code == 200
    engine = connect(index_server.config)
    with write(engine) as connection:
        assert drop_incomplete(connection, utc_now() - timedelta(hours=1)) == 0
    with write(engine) as connection:
        assert drop_incomplete(connection, utc_now() + timedelta(seconds=1)) >= 1
    with pytest.raises(UnknownReleaseError):
        index_server.release(lonely)
    assert len(index_server.release(whole).files) == 2
    again = source(lonely, _entry(f"{lonely.project.replace('-', '_')}-1.0/file", size=9))
    assert (
        index_server.upload(again).status_code == 200
    )  # the bytes that devpi still holds are in nobody's way


def _break_manifest(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.endswith("plugin.toml"))
    members[name] = b"schema = 1"


def _is_queued(server: IndexServer, plugin: Plugin) -> bool:
    queue = server.get_json("/vetting/queue.json") or {"releases": []}
    return any(one["project"] == plugin.project for one in queue["releases"])


def _staged(server: IndexServer, plugin: Plugin) -> httpx.Response:
    path = f"/_/staged/{plugin.project}/{plugin.version}/{plugin.filename}"
    token = read_token(server.config.credentials, "worker")
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{server.config.devpi_url}{path}", headers=headers, trust_env=False)


def source(plugin: Plugin, *extra: tarfile.TarInfo, root: str | None = None) -> Plugin:
    """A source archive of the same release."""
    top = root or f"{plugin.project.replace('-', '_')}-{plugin.version}"
    metadata = f"Metadata-Version: 2.4\nName: {plugin.project}\nVersion: {plugin.version}\n".encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo(f"{top}/PKG-INFO")
        info.size = len(metadata)
        archive.addfile(info, io.BytesIO(metadata))
        for one in extra:
            archive.addfile(one, io.BytesIO(b"\0" * one.size))
    name = f"{plugin.project.replace('-', '_')}-{plugin.version}.tar.gz"
    return dataclasses.replace(plugin, filename=name, content=stream.getvalue())


def _entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def test_unsafe_source_archives_are_refused(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    top = f"{plugin.project.replace('-', '_')}-{plugin.version}"
    cases = [
        source(plugin, _entry(f"{top}/../../evil")),
        source(plugin, _entry("/etc/evil")),
        source(plugin, _entry("other/evil")),
        source(plugin, _entry(f"{top}/link", tarfile.SYMTYPE, "/etc/passwd")),
        source(plugin, _entry(f"{top}/hard", tarfile.LNKTYPE, f"{top}/PKG-INFO")),
        source(plugin, _entry(f"{top}/pipe", tarfile.FIFOTYPE)),
        source(plugin, _entry(f"{top}/dev", tarfile.CHRTYPE)),
        source(plugin, root="elsewhere-1.0"),
        dataclasses.replace(source(plugin), content=b"\x1f\x8b\x08 broken"),
    ]
    for case in cases:
        assert_refused(index_server, case, index_server.upload(case), "archive-unsafe")
    bomb = source(plugin, _entry(f"{top}/zeros", size=300 << 20))
    assert len(bomb.content) < 1 << 20
    assert_refused(index_server, bomb, index_server.upload(bomb), "archive-too-large")


def test_pax_header_bomb_is_refused(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 33
    content = gzip.compress(header.tobuf() + bytes(1 << 20))
    name = f"{plugin.project.replace('-', '_')}-{plugin.version}.tar.gz"
    bomb = dataclasses.replace(plugin, filename=name, content=content)
    assert rule(index_server.upload(bomb)) in {"archive-unsafe", "archive-too-large"}


def test_upload_beyond_the_limit_is_refused_by_rule_before_it_is_received(index_server: IndexServer) -> None:
    address = urlsplit(index_server.config.devpi_url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.putrequest("POST", "/upload/")
    connection.putheader("Content-Length", str(1 << 31))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert answer.reason.startswith("archive-too-large: ")
    assert answer.read().decode().strip() == answer.reason


def test_one_limit_holds_for_gate_checks_and_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/vetting-rules.md").read_text()
    assert ArchiveLimits().archive_bytes == MAX_ARCHIVE_BYTES
    assert f"More than {MAX_ARCHIVE_BYTES >> 20} MiB" in page


def test_malformed_forms_are_refused(index_server: IndexServer) -> None:
    auth = ("__token__", index_server.token())
    url = index_server.upload_url
    assert rule(httpx.post(url, auth=auth, data={":action": "submit"})) == "form-invalid"
    assert rule(httpx.post(url, auth=auth, data={":action": "file_upload"})) == "form-invalid"
    broken = httpx.post(
        url,
        auth=auth,
        content=b"--x\r\nnonsense",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert rule(broken) == "form-invalid"
    assert rule(httpx.post(url, data={":action": "file_upload"})) == "token-invalid"
