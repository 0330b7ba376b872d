"""Uploads that arrive at the same moment: one wins, the other is told why, and nothing is half stored."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
from common.index_server import IndexServer, Plugin, index_server, plugin_wheel
from envcli_index.database import connect, file, project, read
from sqlalchemy import func, select

__all__ = ["index_server"]

AT_ONCE = 6


def upload_at_once(server: IndexServer, uploads: list[tuple[Plugin, str]]) -> list[httpx.Response]:
    """Upload each plugin as its publisher, all at the same moment."""
    ready = [(plugin, publisher, server.attest(plugin, publisher)) for plugin, publisher in uploads]
    with ThreadPoolExecutor(len(ready)) as pool:
        answers = [
            pool.submit(server.upload, plugin, attestations=attested, publisher=publisher)
            for plugin, publisher, attested in ready
        ]
        return [answer.result() for answer in answers]


def outcomes(answers: list[httpx.Response]) -> list[tuple[int, str]]:
    """Status and rule of each answer, the accepted first."""
    return sorted((answer.status_code, answer.text.strip().split(":")[0]) for answer in answers)


def test_one_of_many_publishers_gets_a_new_name(index_server: IndexServer) -> None:
    name = f"r{uuid4().hex[:8]}"
    uploads = [(plugin_wheel(name, f"{number}.0"), str(uuid4())) for number in range(AT_ONCE)]
    answers = upload_at_once(index_server, uploads)
    assert outcomes(answers) == [(200, "accepted")] + [(403, "name-owned")] * (AT_ONCE - 1)
    with read(connect(index_server.config)) as connection:
        owner = connection.execute(select(project.c.publisher).where(project.c.name == uploads[0][0].project))
        winner = next(who for (_, who), answer in zip(uploads, answers, strict=True) if answer.is_success)
        assert owner.scalar_one() == winner


def test_the_same_file_many_times_is_one_file(index_server: IndexServer) -> None:
    plugin, publisher = plugin_wheel(), str(uuid4())
    answers = upload_at_once(index_server, [(plugin, publisher)] * AT_ONCE)
    assert outcomes(answers) == [(200, "accepted")] * AT_ONCE
    with read(connect(index_server.config)) as connection:
        count = select(func.count()).select_from(file).where(file.c.filename == plugin.filename)
        assert connection.execute(count).scalar_one() == 1


def test_two_contents_of_one_file_name_are_never_both_accepted(index_server: IndexServer) -> None:
    name, publisher = f"r{uuid4().hex[:8]}", str(uuid4())
    uploads = [
        (plugin_wheel(name, files={"extra.py": f"x = {number}\n".encode()}), publisher)
        for number in range(AT_ONCE)
    ]
    answers = upload_at_once(index_server, uploads)
    assert outcomes(answers) == [(200, "accepted")] + [(409, "version-exists")] * (AT_ONCE - 1)
    accepted = next(one for (one, _), answer in zip(uploads, answers, strict=True) if answer.is_success)
    assert [one.sha256 for one in index_server.release(accepted).files] == [accepted.sha256]


def test_names_that_look_alike_are_one_name_in_a_race_too(index_server: IndexServer) -> None:
    stem = f"race{uuid4().hex[:6]}"
    uploads = [(plugin_wheel(f"{stem}-{ending}"), str(uuid4())) for ending in ("oil", "0il", "o1l", "oi1")]
    answers = upload_at_once(index_server, uploads)
    assert outcomes(answers) == [(200, "accepted")] + [(400, "name-similar")] * 3


def test_wheels_of_one_version_with_other_permissions_are_refused(index_server: IndexServer) -> None:
    first = plugin_wheel()
    short = first.project.removeprefix("envcli-plugin-")
    package = first.project.replace("-", "_")
    assert index_server.upload(first).status_code == 200
    manifest = manifest_of(first).replace(b"Says hello", b"Says more")
    second = plugin_wheel(short, tag="py312-none-any", files={f"{package}/plugin.toml": manifest})
    second = dataclasses.replace(second)
    answer = index_server.upload(second)
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "manifest-invalid")


def manifest_of(plugin: Plugin) -> bytes:
    """The wheel's plugin.toml."""
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(plugin.content)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("plugin.toml")))
