"""Registry, journal and grants: what is written is read back, everything else is refused, failures undo."""

import json
from pathlib import Path

import pytest
from envcli_host.config import HostPaths
from envcli_host.plugins.errors import GrantError, RegistryError, UnknownPluginError
from envcli_host.plugins.grants import (
    GrantBook,
    compare,
    effective,
    granted_now,
    with_revoked_again,
    without_permission,
)
from envcli_host.plugins.instances import InstanceConfig
from envcli_host.plugins.journal import change, is_pending, recover
from envcli_host.plugins.registry import Origin, Record, Registry, registry_lock
from envcli_sdk import parse_manifest
from hypothesis import given
from hypothesis import strategies as st

DIGEST = "0" * 64
TEXT = """schema = 1
id = "demo"
type = "integration"
minimum_host_version = "0.1"
[[contributes]]
kind = "scheme"
name = "demo"
summary = "x"
[[permissions]]
permission = "network:connect"
scope = "{config.url}"
reason = "x"
[[permissions]]
permission = "variable:read"
scope = "dev:A"
reason = "x"
[config.url]
type = "string"
"""
MANIFEST = parse_manifest(TEXT)


def record(project: str = "envcli-plugin-demo", **changes: object) -> Record:
    values: dict[str, object] = {
        "project": project,
        "version": "1.0",
        "id": project.removeprefix("envcli-plugin-"),
        "type": "command",
        "origin": Origin.INDEX,
        "entry": "demo.main:Demo",
        "contributes": (("command", "demo", "Says hello"),),
        "wheel_sha256": DIGEST,
        "manifest_sha256": DIGEST,
        "tree_sha256": DIGEST,
        "index_name": "test",
        "publisher": {"name": "A"},
        "closure": (DIGEST,),
    }
    return Record(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def paths(tmp_path: Path) -> HostPaths:
    return HostPaths.below(tmp_path)


def test_what_is_saved_is_loaded(paths: HostPaths) -> None:
    linked = record("envcli-plugin-other", origin=Origin.LINKED, folder="/x", contributes=())
    Registry({}).with_record(record()).with_record(linked).save(paths)
    loaded = Registry.load(paths)

    assert list(loaded) == [record(), linked]
    assert loaded.find("Envcli_Plugin.Demo") == loaded.find("demo") == record()
    assert [item.id for item in loaded.contributors("command")] == ["demo"]
    assert list(loaded.without("envcli-plugin-demo")) == [linked]
    assert paths.registry_file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UnknownPluginError, match=r"not installed\. Run: envcli plugin install nothing"):
        loaded.find("nothing")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


@given(st.sampled_from(sorted(Record.__slots__)), json_values)
def test_any_changed_field_loads_as_a_sound_record_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    paths = HostPaths.below(tmp_path_factory.mktemp("home"))
    Registry({}).with_record(record()).save(paths)
    table = json.loads(paths.registry_file.read_text())
    table["plugins"]["envcli-plugin-demo"][key] = value
    paths.registry_file.write_text(json.dumps(table))
    try:
        (found,) = Registry.load(paths)
    except RegistryError:
        return
    assert found.release_dir(paths).is_relative_to(paths.plugins_dir)
    assert ".." not in found.release_dir(paths).parts


def test_a_failed_change_is_undone(paths: HostPaths) -> None:
    Registry({}).with_record(record()).save(paths)
    old, new = paths.plugins_dir / "a" / "1", paths.plugins_dir / "b" / "1"
    old.mkdir(parents=True)
    (old / "kept").write_text("x")

    def fail_halfway() -> None:
        with change(paths, creates=(old, new)):
            old.mkdir()
            new.mkdir(parents=True)
            Registry({}).save(paths)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_halfway()

    assert list(Registry.load(paths)) == [record()]
    assert (old / "kept").exists()
    assert not new.exists()
    assert not is_pending(paths)


def test_a_change_that_died_is_undone_by_the_next(paths: HostPaths) -> None:
    """The block is left without its end, as by SIGKILL."""
    new = paths.plugins_dir / "b" / "1"
    generator = change(paths, creates=(new,)).gen  # type: ignore[attr-defined]
    next(generator)
    new.mkdir(parents=True)
    Registry({}).with_record(record()).save(paths)
    journal = (paths.data / "journal.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        generator.throw(KeyboardInterrupt())
    new.mkdir(parents=True)
    Registry({}).with_record(record()).save(paths)
    (paths.data / "journal.json").write_bytes(journal)

    assert is_pending(paths)
    with registry_lock(paths):
        assert recover(paths)
        assert not recover(paths)
    assert not new.exists()
    assert not paths.registry_file.exists()


def config(**values: str) -> InstanceConfig:
    return InstanceConfig("default", values)


def test_grants_are_bound_to_manifest_and_resolved_scope() -> None:
    first = config(url="https://a.example.org")
    grants = granted_now(MANIFEST, DIGEST, first, None)

    allowed = effective(MANIFEST, DIGEST, first, grants)
    assert [request.scope for request in allowed] == ["a.example.org:443", "dev:A"]
    assert [request.scope for request in effective(MANIFEST, DIGEST, config(), grants)] == ["dev:A"]
    with pytest.raises(GrantError, match=r"b\.example\.org:443, which nobody granted"):
        effective(MANIFEST, DIGEST, config(url="https://b.example.org"), grants)
    with pytest.raises(GrantError, match="nobody granted"):
        effective(MANIFEST, "1" * 64, first, grants)
    with pytest.raises(GrantError, match="never granted"):
        effective(MANIFEST, DIGEST, first, None)


def test_comparison_knows_first_consent_from_widening() -> None:
    one, two = config(url="https://a.example.org"), config(url="https://b.example.org")
    before = granted_now(MANIFEST, DIGEST, one, None)

    assert [r.scope for r in compare(MANIFEST, one, None).added] == ["a.example.org:443", "dev:A"]
    assert not compare(MANIFEST, one, None).is_widening
    assert compare(MANIFEST, one, before).added == ()
    widened = compare(MANIFEST, two, before)
    assert ([r.scope for r in widened.added], widened.is_widening) == (["b.example.org:443"], True)
    other_instance = InstanceConfig("two", two.values)
    assert not compare(MANIFEST, other_instance, before).is_widening
    less = parse_manifest(TEXT.replace("variable:read", "variable:write"))
    found = compare(less, one, before)
    assert ([str(r.permission) for r in found.added], [r.scope for r in found.removed]) == (
        ["variable:write"],
        ["dev:A"],
    )


def test_revoked_stays_revoked_until_given_back(paths: HostPaths) -> None:
    entry = without_permission(granted_now(MANIFEST, DIGEST, config(), None), "variable:read")
    again = granted_now(MANIFEST, DIGEST, config(), entry)
    book = GrantBook({})
    book.set("x", again)
    book.save(paths)

    assert again.revoked == {("variable:read", "dev:A")}
    assert effective(MANIFEST, DIGEST, config(), again) == ()
    assert GrantBook.load(paths).get("x") == again
    assert with_revoked_again(again).revoked == frozenset()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 1, "plugins": {"x": {}}}', '{"version": 1, "plugins": 1}']
)
def test_a_broken_grants_file_grants_nothing(paths: HostPaths, content: str) -> None:
    paths.config.mkdir(parents=True)
    paths.grants_file.write_text(content)
    with pytest.raises(GrantError, match="malformed"):
        GrantBook.load(paths)
