"""A command's signature is its command line."""

import inspect

import pytest
from envcli_sdk import CommandResult, CustomCommand, Plugin, UsageError, collect, command, report, step
from envcli_sdk.testing import running
from envcli_sdk.usage import bind, describe, usage


def greet(
    who: str,
    times: int = 1,
    *extra: str,
    prefix: str = "",
    loud: bool = False,
    plain: bool = True,
    scale: float,
) -> str:
    """Greet somebody."""
    return f"{prefix}{who} {times} {extra} {loud} {plain} {scale}"


def call(*words: str) -> str:
    """Run `greet` with a command line."""
    positional, named = bind("greet", greet, words)
    return greet(*positional, **named)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("Bob --scale 2", "Bob 1 () False True 2.0"),
        ("Bob 3 x y --scale=.5 --loud", "Bob 3 ('x', 'y') True True 0.5"),
        ("--prefix A Bob --no-plain --times 2 --scale 1", "ABob 2 () False False 1.0"),
        ("--scale 1 -- --Bob", "--Bob 1 () False True 1.0"),
    ],
)
def test_words_and_options_become_arguments(line: str, answer: str) -> None:
    assert call(*line.split()) == answer


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("", "WHO is missing"),
        ("Bob", "--scale FLOAT is missing"),
        ("Bob --scale", "--scale lacks its value"),
        ("Bob --scale x", "'x' is no number, which scale must be"),
        ("Bob two --scale 1", "'two' is no whole number, which times must be"),
        ("Bob --scale 1 --scale 2", "--scale is given twice"),
        ("Bob --loud=1 --scale 1", "--loud takes no value"),
        ("Bob --who A", "there is no option --who"),
        ("Bob --no-scale", "there is no option --no-scale"),
    ],
)
def test_a_wrong_line_is_told_with_its_usage(line: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(*line.split())
    assert caught.value.message == f"envcli greet: {what}"
    assert caught.value.tip == usage("greet", greet)


def test_help_is_signature_and_docstring() -> None:
    assert describe("greet", greet) == (
        "Usage: envcli greet WHO [--times INT] [EXTRA...] [--prefix PREFIX] [--loud] [--plain | --no-plain] "
        "--scale FLOAT\n\nGreet somebody."
    )


def test_too_many_words_are_refused() -> None:
    def one(word: str, flag: "bool | None" = None) -> None:
        """Take one word."""

    with pytest.raises(UsageError, match="'b' is one word too many"):
        bind("one", one, ("a", "b"))
    assert bind("one", one, ("a", "--flag")) == (["a", True], {})
    assert inspect.signature(one).parameters["flag"].default is None


class Demo(Plugin):
    """One of each."""

    @command("demo")
    def demo(self, *words: str) -> str:
        """Take words as they are."""
        return " ".join(words)

    @report("sums")
    def sums(self, limit: int = 3) -> str:
        """Add up."""
        return str(limit)

    @step("deploy")
    def build(self, *, dry_run: bool) -> str:
        """First step."""
        return f"dry={dry_run}"


def execute(*words: str, kind: str = "command") -> CommandResult:
    """Run a contribution of `Demo`."""
    with running(Demo()) as plugin:
        result = plugin.execute(CustomCommand(words[0], words[1:], kind))
    assert isinstance(result, CommandResult)
    return result


def test_a_command_that_takes_every_word_gets_options_too() -> None:
    assert execute("demo", "a", "--b", "c").output == "a --b c"
    assert execute("demo", "--help").output == "Usage: envcli demo [WORDS...]\n\nTake words as they are."


def test_reports_and_workflows_have_usages() -> None:
    assert execute("sums", "--limit", "5", kind="report").output == "5"
    assert execute("deploy", kind="workflow").output == "build: dry=False"
    assert execute("deploy", "--dry-run", kind="workflow").output == "build: dry=True"
    assert execute("deploy", "--help", kind="workflow").output == (
        "Usage: envcli deploy [--dry-run]\n\nIts steps:\n  build"
    )
    with pytest.raises(UsageError, match="no option --force"):
        execute("deploy", "--force", kind="workflow")


def test_functions_have_usages_as_methods_do() -> None:
    @command("hello")
    def hello(name: str) -> str:
        return f"hello {name}"

    with running(collect(hello)) as plugin, pytest.raises(UsageError, match="NAME is missing"):
        plugin.execute(CustomCommand("hello"))
