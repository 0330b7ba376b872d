"""The dependency closure: resolved and fetched by uv and pip from an index that holds just what a test put there."""

import hashlib
from pathlib import Path

import pytest
from common.plugin_wheels import plugin_wheel
from common.simple_index import add_package, simple_index
from envcli_index.worker_closure import (
    Closure,
    ClosureError,
    UpstreamError,
    read_requirements,
    resolve_closure,
)


def resolve(tmp_path: Path, *requires: str, first_party: Path | None = None) -> Closure:
    (tmp_path / "work").mkdir()
    wheel = plugin_wheel(tmp_path, requires=requires)
    with simple_index(tmp_path / "index") as url:
        return resolve_closure([wheel], tmp_path / "work", upstream=url, first_party=first_party)


def names(closure: Closure) -> list[str]:
    return [wheel.filename for wheel in closure.wheels]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    (tmp_path / "index" / "simple").mkdir(parents=True)
    return tmp_path / "index"


def test_no_requirements_no_closure(tmp_path: Path) -> None:
    assert resolve_closure([plugin_wheel(tmp_path)], tmp_path, upstream=None, first_party=None) == Closure(
        (), ()
    )


def test_the_whole_closure_is_fetched_and_hashed(tmp_path: Path, index: Path) -> None:
    add_package(index, "leaf", "2.0")
    add_package(index, "leaf", "3.0")
    add_package(index, "branch", "1.5", requires=["leaf<3"])
    closure = resolve(tmp_path, "branch>=1", "envcli-plugin-other>=1")

    assert names(closure) == ["branch-1.5-py3-none-any.whl", "leaf-2.0-py3-none-any.whl"]
    assert closure.plugins == ("envcli-plugin-other>=1",)
    for wheel in closure.wheels:
        assert hashlib.sha256(wheel.path.read_bytes()).hexdigest() == wheel.sha256


def test_platform_wheels_are_fetched_for_every_python(tmp_path: Path, index: Path) -> None:
    import platform

    for python in ("cp311", "cp312", "cp313"):
        add_package(index, "fast", "1.0", tag=f"{python}-{python}-manylinux_2_17_{platform.machine()}")
    assert len(names(resolve(tmp_path, "fast"))) == 3


def test_markers_decide_per_python(tmp_path: Path, index: Path) -> None:
    add_package(index, "backport", "1.0")
    add_package(index, "never", "1.0")
    closure = resolve(tmp_path, 'backport; python_version < "3.12"', 'never; sys_platform == "win32"')
    assert names(closure) == ["backport-1.0-py3-none-any.whl"]


def test_first_party_wheels_never_come_from_upstream(tmp_path: Path, index: Path) -> None:
    add_package(index, "envcli-sdk", "99.0")
    add_package(index, "pluggy", "1.6.0")
    own = add_package(tmp_path / "own", "envcli-sdk", "0.1.0", requires=["pluggy"])
    closure = resolve(tmp_path, "envcli-sdk>=0.1", first_party=own.parent)
    assert names(closure) == ["envcli_sdk-0.1.0-py3-none-any.whl", "pluggy-1.6.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("requires", "rule"),
    [
        ("envcli-sdk>=0.1", "dependency-first-party"),
        ("envcli", "dependency-first-party"),
        ("Envcli_Secrets", "dependency-first-party"),
        ("absent-package>=1", "dependency-unresolvable"),
        ("x @ https://example.org/x-1.0-py3-none-any.whl", "dependency-url"),
    ],
)
def test_what_cannot_be_met_is_refused_by_its_rule(
    tmp_path: Path, index: Path, requires: str, rule: str
) -> None:
    with pytest.raises(ClosureError) as caught:
        resolve(tmp_path, requires)
    assert caught.value.rule == rule


def test_a_dependency_cannot_pull_in_a_name_of_ours(tmp_path: Path, index: Path) -> None:
    add_package(index, "envcli-sdk", "99.0")
    add_package(index, "innocent", "1.0", requires=["envcli-sdk"])
    with pytest.raises(ClosureError) as caught:
        resolve(tmp_path, "innocent")
    assert caught.value.rule == "dependency-confusion"


def test_source_archives_are_never_built(tmp_path: Path, index: Path) -> None:
    place = index / "simple" / "sourceonly"
    place.mkdir()
    (place / "sourceonly-1.0.tar.gz").write_bytes(b"")
    (place / "index.html").write_text('<a href="sourceonly-1.0.tar.gz">sourceonly-1.0.tar.gz</a>')
    with pytest.raises(ClosureError) as caught:
        resolve(tmp_path, "sourceonly")
    assert caught.value.rule == "dependency-unresolvable"


def test_an_upstream_that_swaps_bytes_is_noticed(tmp_path: Path, index: Path) -> None:
    wheel = add_package(index, "swapped", "1.0")
    wheel.write_bytes(wheel.read_bytes() + b" ")
    with pytest.raises(UpstreamError):
        resolve(tmp_path, "swapped")


def test_a_broken_upstream_may_be_tried_again_and_tells_no_password(tmp_path: Path) -> None:
    wheel = plugin_wheel(tmp_path, requires=("branch",))
    (tmp_path / "work").mkdir()
    with pytest.raises((UpstreamError, ClosureError)) as caught:
        resolve_closure(
            [wheel], tmp_path / "work", upstream="http://user:s3cret@127.0.0.1:9/simple", first_party=None
        )
    assert isinstance(caught.value, UpstreamError)
    assert "s3cret" not in str(caught.value)


def test_injected_lines_are_no_requirements(tmp_path: Path) -> None:
    wheel = plugin_wheel(tmp_path, requires=("--index-url https://evil.example",))
    with pytest.raises(ClosureError) as caught:
        read_requirements([wheel])
    assert caught.value.rule == "dependency-invalid"
