"""Pure parts of the catalog: records, README, typos, ratings."""

import re
from typing import Any

import pytest
from envcli_web.catalog import records
from envcli_web.catalog.readme import render_readme
from envcli_web.catalog.search.backends import split_words
from envcli_web.catalog.search.typos import is_one_edit_apart
from envcli_web.reviews.rating import bayesian_mean
from hypothesis import given
from hypothesis import strategies as st

WORD = st.text("abcdxyz", max_size=8)


def osa(left: str, right: str) -> int:
    """Optimal string alignment distance, the long way."""
    rows = [[max(i, j) if min(i, j) == 0 else 0 for j in range(len(right) + 1)] for i in range(len(left) + 1)]
    for i in range(1, len(left) + 1):
        for j in range(1, len(right) + 1):
            cost = left[i - 1] != right[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and left[i - 1] == right[j - 2] and left[i - 2] == right[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


@given(WORD, WORD)
def test_one_edit_agrees_with_the_long_way(left: str, right: str) -> None:
    assert is_one_edit_apart(left, right) == (osa(left, right) <= 1)


@given(WORD, st.integers(0, 8))
def test_a_word_without_a_letter_is_one_edit_away(word: str, at: int) -> None:
    assert is_one_edit_apart(word, word[:at] + word[at + 1 :])


@given(st.text(max_size=400))
def test_words_hold_nothing_that_an_engine_could_read_as_syntax(query: str) -> None:
    assert all(re.fullmatch(r"\w+", word) for word in split_words(query))


@given(st.text(max_size=300))
def test_a_readme_never_holds_active_html(text: str) -> None:
    html = str(render_readme(text, "text/markdown")).lower()
    assert not re.search(r"<(script|style|iframe|img|svg|object|form|input|link|meta|base)\b", html)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](javascript:alert(1))",
        '[x](http://a "onmouseover=alert(1)")',
        "<svg/onload=alert(1)>",
        "<a href='vbscript:x'>x</a>",
        "```\n</code></pre><script>alert(1)</script>\n```",
        '![" onerror="x](http://a)',
    ],
)
@pytest.mark.parametrize(
    "kind", ["text/markdown", "text/markdown; charset=UTF-8", "text/html", "text/x-rst", None, ""]
)
def test_hostile_readmes_are_harmless(text: str, kind: str | None) -> None:
    html = str(render_readme(text, kind))
    assert "<script" not in html
    assert "<img" not in html
    assert "<svg" not in html
    assert not re.search(r"<[^>]*\son\w+=", html)
    assert not re.search(r'href="(?!https?:|mailto:)', html)


def test_a_readme_keeps_what_is_useful() -> None:
    html = str(
        render_readme(
            "# Title\n\n| a |\n|---|\n| b |\n\n~~x~~ ![pic](https://e.example/p.png)", "text/markdown"
        )
    )
    assert "<h3>Title</h3>" in html
    assert "<td>b</td>" in html
    assert 'href="https://e.example/p.png"' in html
    assert "nofollow" in html


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(
        st.fixed_dictionaries({"version": JSON_VALUES, "state": st.just("released"), "files": JSON_VALUES})
    )
)
def test_garbled_releases_are_ordered_without_complaint(releases: list[dict[str, Any]]) -> None:
    assert len(records.releases_of({"releases": releases})) == len(releases)
    records.latest_version({"releases": releases})


def test_versions_are_ordered_as_versions() -> None:
    versions = ["1.9", "1.10", "2.0rc1", "nonsense", "1.10.post1"]
    found = records.releases_of({"releases": [{"version": version} for version in versions]})
    assert [item["version"] for item in found] == ["1.10.post1", "1.10", "1.9", "2.0rc1", "nonsense"]


@given(st.lists(st.integers(1, 5), min_size=1))
def test_the_order_value_lies_between_prior_and_mean(stars: list[int]) -> None:
    value, mean = bayesian_mean(sum(stars), len(stars)), sum(stars) / len(stars)
    assert min(3.5, mean) - 1e-9 <= value <= max(3.5, mean) + 1e-9


def test_one_enthusiast_does_not_beat_twenty_content_people() -> None:
    assert bayesian_mean(5, 1) < bayesian_mean(20 * 4 + 10, 20)
    assert bayesian_mean(0, 0) == 0
