"""The command line of a contributed command, read from its function's signature.

Parameters without a default are positional words, those with one may also be written as ``--name VALUE``, those
behind ``*`` only so; ``bool`` is a switch, ``int`` and ``float`` are converted, and ``*words`` takes the rest.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from envcli_sdk.errors import UsageError

HELP = ("--help", "-h")
_CONVERTED: dict[str, Callable[[str], Any]] = {"int": int, "float": float}
_KEYWORDS = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

Bound: TypeAlias = tuple[list[Any], dict[str, Any]]


def bind(name: str, function: Callable[..., Any], words: Sequence[str]) -> Bound:
    """Turn the words of a command line into the function's arguments.

    Args:
        name: of the command, for messages.
        function: bound, where it is a method.
        words: what stands behind the name.

    Raises:
        UsageError: they do not fit.
    """
    parameters = _parameters(function)
    if [item.kind for item in parameters] == [inspect.Parameter.VAR_POSITIONAL]:
        return list(words), {}
    return _Reader(name, parameters).read(words)


def usage(name: str, function: Callable[..., Any]) -> str:
    """One line: how the command is written."""
    return " ".join([f"Usage: envcli {name}", *_shapes(_parameters(function))])


def describe(name: str, function: Callable[..., Any]) -> str:
    """What ``--help`` prints: usage and docstring."""
    text = inspect.getdoc(function) or ""
    return f"{usage(name, function)}\n\n{text}".rstrip()


class _Reader:
    """Reads one command line."""

    def __init__(self, name: str, parameters: Sequence[inspect.Parameter]) -> None:
        self._name = name
        self._parameters = parameters
        self._options = {_option(item): item for item in parameters if _is_option(item)}
        self._words: list[str] = []
        self._named: dict[str, Any] = {}

    def read(self, words: Sequence[str]) -> Bound:
        rest = iter(words)
        for word in rest:
            if word == "--":
                self._words += rest
            elif word.startswith("--"):
                self._take_option(word, rest)
            else:
                self._words.append(word)
        return self._fitted()

    def _take_option(self, word: str, rest: Iterator[str]) -> None:
        option, given, value = word.partition("=")
        is_off = option.startswith("--no-") and option not in self._options
        parameter = self._options.get(f"--{option[5:]}" if is_off else option)
        if parameter is None or (is_off and not _is_switch(parameter)):
            raise self._wrong(f"there is no option {option}")
        if parameter.name in self._named:
            raise self._wrong(f"{option} is given twice")
        if _is_switch(parameter):
            if given:
                raise self._wrong(f"{option} takes no value")
            self._named[parameter.name] = not is_off
            return
        if not given:
            try:
                value = next(rest)
            except StopIteration:
                raise self._wrong(f"{option} lacks its value") from None
        self._named[parameter.name] = self._converted(parameter, value)

    def _fitted(self) -> Bound:
        found: list[Any] = []
        for parameter in self._parameters:
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                found += [self._converted(parameter, word) for word in self._words]
                self._words = []
            elif parameter.kind in _POSITIONAL and parameter.name in self._named:
                found.append(self._named.pop(parameter.name))
            elif parameter.kind in _POSITIONAL and self._words and not _is_pure_switch(parameter):
                found.append(self._converted(parameter, self._words.pop(0)))
            elif parameter.kind in _POSITIONAL and parameter.default is not parameter.empty:
                found.append(parameter.default)
            elif parameter.default is parameter.empty and parameter.name not in self._named:
                raise self._wrong(f"{_shape(parameter)} is missing")
        if self._words:
            raise self._wrong(f"{self._words[0]!r} is one word too many")
        return found, self._named

    def _converted(self, parameter: inspect.Parameter, word: str) -> Any:
        kind = _kind(parameter)
        if kind == "bool":
            if word not in {"true", "false"}:
                raise self._wrong(f"{word!r} is neither true nor false")
            return word == "true"
        try:
            return _CONVERTED.get(kind, str)(word)
        except ValueError:
            what = "whole number" if kind == "int" else "number"
            raise self._wrong(f"{word!r} is no {what}, which {parameter.name} must be") from None

    def _wrong(self, what: str) -> UsageError:
        shapes = " ".join(_shapes(self._parameters))
        return UsageError(f"envcli {self._name}: {what}", tip=f"Usage: envcli {self._name} {shapes}".rstrip())


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    found = inspect.signature(function).parameters.values()
    return [item for item in found if item.kind is not inspect.Parameter.VAR_KEYWORD]


def _shapes(parameters: Sequence[inspect.Parameter]) -> list[str]:
    return [_shape(item) for item in parameters]


def _shape(parameter: inspect.Parameter) -> str:
    shown = parameter.name.strip("_").replace("_", "-")
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return f"[{shown.upper()}...]"
    if not _is_option(parameter):
        return shown.upper() if parameter.default is parameter.empty else f"[{shown.upper()}]"
    option = _option(parameter)
    if _is_switch(parameter):
        return f"[{option} | --no-{option[2:]}]" if parameter.default is True else f"[{option}]"
    text = f"{option} {(_kind(parameter) if _kind(parameter) in _CONVERTED else shown).upper()}"
    return text if parameter.default is parameter.empty else f"[{text}]"


def _is_option(parameter: inspect.Parameter) -> bool:
    is_keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    return is_keyword or (parameter.kind in _KEYWORDS and parameter.default is not parameter.empty)


def _is_switch(parameter: inspect.Parameter) -> bool:
    return _kind(parameter) == "bool"


def _is_pure_switch(parameter: inspect.Parameter) -> bool:
    """Whether no word stands for it."""
    return _is_switch(parameter) and _is_option(parameter)


def _kind(parameter: inspect.Parameter) -> str:
    """Name of the annotated type, which is text where annotations are postponed."""
    annotation = parameter.annotation
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return text.removesuffix(" | None")


def _option(parameter: inspect.Parameter) -> str:
    return f"--{parameter.name.strip('_').replace('_', '-')}"
