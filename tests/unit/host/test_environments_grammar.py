"""The .env grammar: dialect, positions of errors, and write-then-read as the identity."""

import contextlib
import io
import os
import subprocess

import pytest
from dotenv import dotenv_values
from envcli_host.environments.grammar import Document, GrammarError, decode, format_value, parse_document
from envcli_host.errors import EnvironmentStoreError
from hypothesis import example, given, settings
from hypothesis import strategies as st

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
VALUES = st.text(alphabet=st.characters(codec="utf-8"))
# What single quotes hold: every parser reads it alike.
SAFE = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="'\\\r\0"), max_size=40)
AWKWARD = st.text(alphabet="\\'\"`$#{}:-+ \n\r\tAn=()\0\ufeff\u2028é")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1", {"A": "1"}),
        ("A = 1 ", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("export=1", {"export": "1"}),
        ("A: 1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A= # nothing", {"A": ""}),
        ("# comment\n\n  A=1 # more", {"A": "1"}),
        ("A=a#b", {"A": "a"}),
        ("A='a#b'", {"A": "a#b"}),
        ('A="a # b" # c', {"A": "a # b"}),
        ("A=one two  three", {"A": "one two  three"}),
        ("A=it's", {"A": "it's"}),
        ("A='it\\'s'", {"A": "it\\'s"}),
        ('A=`it\'s "so"`', {"A": 'it\'s "so"'}),
        ('A="x\\ny\\tz\\rq"', {"A": "x\ny\tz\rq"}),
        ("A='x\\ny'", {"A": "x\\ny"}),
        ("A=x\\ny", {"A": "x\\ny"}),
        ('A="c:\\dir"', {"A": "c:\\dir"}),
        ("A='one\ntwo'\nB=2", {"A": "one\ntwo", "B": "2"}),
        ("A='one\r\ntwo'\r\nB=2\r\n", {"A": "one\ntwo", "B": "2"}),
        ("A=1\rB=2", {"A": "1", "B": "2"}),
        ("a.b-c=1", {"a.b-c": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=$(whoami)", {"A": "$(whoami)"}),
        ("A=a$", {"A": "a$"}),
        ("A=$$", {"A": "$$"}),
    ],
)
def test_values(text: str, values: dict[str, str]) -> None:
    assert parse_document(text).expand({}) == values


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("$ONE", "1"),
        ("${ONE}", "1"),
        ("x${ONE}y", "x1y"),
        ('"x $ONE"', "x 1"),
        ("`x $ONE`", "x 1"),
        ("'$ONE'", "$ONE"),
        ("\\$ONE", "$ONE"),
        ('"\\${ONE}"', "${ONE}"),
        ("${NONE}", ""),
        ("${NONE:-b}", "b"),
        ("${NONE-b}", "b"),
        ("${EMPTY:-b}", "b"),
        ("${EMPTY-b}", ""),
        ("${ONE:+b}", "b"),
        ("${EMPTY:+b}", ""),
        ("${EMPTY+b}", "b"),
        ("${NONE+b}", ""),
        ("${NONE:-${NOT-${ONE}2}}", "12"),
        ("${NONE:-a b#c}", "a b#c"),
        ("${NONE:-}", ""),
    ],
)
def test_expansion(value: str, expanded: str) -> None:
    assert parse_document(f"EMPTY=\nA={value}").expand({"ONE": "1"})["A"] == expanded


def test_a_file_sees_its_own_values_before_outer_ones() -> None:
    document = parse_document("A=inner\nB=$A\nPATH=$PATH:/x\n")

    assert document.expand({"A": "outer", "PATH": "/bin"}) == {"A": "inner", "B": "inner", "PATH": "/bin:/x"}


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("A=1\nB='open\n\n", 2, 3, "never closed"),
        ('A="x" y', 1, 6, "behind the closing"),
        ("A='x''y'", 1, 6, "behind the closing"),
        ("\r\n\r\nfoo", 3, 4, "expected '='"),
        ("A=1\n  =2", 2, 3, "variable name"),
        ("A=${B", 1, 3, "never closed"),
        ("A=${B:-c\n}", 1, 3, "never closed"),
        ('A="${1}"', 1, 4, "no reference"),
        ("A:1", 1, 2, "expected '='"),
        ("A=" + "${B:-" * 30, 1, 103, "no reference"),
    ],
)
def test_errors_name_the_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(GrammarError, match=message) as caught:
        parse_document(text)

    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.remedy


@given(st.dictionaries(NAMES, VALUES | AWKWARD))
@example({"A": "\\"})
@example({"A": "'\\"})
@example({"A": "\\n"})
@example({"A": "'\r\n\\r"})
@settings(max_examples=300)
def test_writing_then_reading_is_the_identity(values: dict[str, str]) -> None:
    document = Document()
    for name, value in values.items():
        document = document.with_value(name, value)

    assert parse_document(decode(document.text.encode())).expand({}) == values


@given(VALUES | AWKWARD)
def test_a_written_value_never_reaches_its_neighbours(value: str) -> None:
    text = f"BEFORE=1\nA={format_value(value)}\nAFTER=2\n"

    assert parse_document(text).expand({"n": "x"}) == {"BEFORE": "1", "A": value, "AFTER": "2"}


@given(VALUES | AWKWARD, VALUES | AWKWARD)
def test_editing_keeps_everything_else(old: str, new: str) -> None:
    text = f"# head\nexport A={format_value(old)} # tail\n\nB = 'kept'  # too\n"

    edited = parse_document(text).with_value("A", new)

    assert edited.text.startswith("# head\nexport A=")
    assert edited.text.endswith(" # tail\n\nB = 'kept'  # too\n")
    assert edited.expand({}) == {"A": new, "B": "kept"}


@given(st.text(alphabet="AB=:'\"`$\\{}#-+ \n\rx"))
def test_any_text_parses_or_raises_a_grammar_error(text: str) -> None:
    with contextlib.suppress(GrammarError):
        assert parse_document(text).text == text


@given(st.dictionaries(NAMES, SAFE, max_size=20))
@settings(max_examples=25)
def test_other_parsers_read_what_is_written_here(values: dict[str, str]) -> None:
    document = Document()
    for name, value in values.items():
        document = document.with_value(f"X_{name}", value)
    wanted = {f"X_{name}": value for name, value in values.items()}

    assert dict(dotenv_values(stream=io.StringIO(document.text), interpolate=False)) == wanted
    shell = ["bash", "-c", 'set -a; eval "$1"; env -0', "bash", document.text]
    shown = subprocess.run(shell, capture_output=True, check=True, env={"PATH": os.environ["PATH"]}).stdout
    read = dict(line.split("=", 1) for line in shown.decode().split("\0") if line.startswith("X_"))
    assert read == wanted


def test_the_last_assignment_of_a_name_is_edited_and_all_are_removed() -> None:
    document = parse_document("A=1\nB=2\nA=3\n")

    assert document.with_value("A", "4").text == "A=1\nB=2\nA=4\n"
    assert document.without("A").text == "B=2\n"


def test_a_new_variable_begins_its_own_line() -> None:
    assert parse_document("A=1").with_value("B", "2").text == "A=1\nB=2\n"


def test_a_value_before_a_comment_stays_apart_from_it() -> None:
    assert parse_document("A=#c").with_value("A", "1").text == "A=1 #c"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str) -> None:
    assert parse_document(decode("A=é".encode(encoding))).expand() == {"A": "é"}


def test_bytes_that_are_no_text_are_refused_with_their_place() -> None:
    with pytest.raises(GrammarError, match="line 2, column 3: the bytes are not UTF-8"):
        decode(b"A=1\nB=\xff")


@pytest.mark.parametrize("name", ["", "A B", "A=B", "é", "A\n"])
def test_unusable_names_are_refused(name: str) -> None:
    with pytest.raises(EnvironmentStoreError, match="no variable name"):
        Document().with_value(name, "x")


def test_many_variables_parse_in_linear_time() -> None:
    import time

    text = "".join(f"NAME_{number}='value {number}'\n" for number in range(20_000))
    start = time.process_time()

    assert len(parse_document(text).assignments) == 20_000
    assert time.process_time() - start < 5
