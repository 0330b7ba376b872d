"""Refuse names that the index would refuse, before anything is written."""

import keyword
import re
import sys

NAME = "{{ cookiecutter.plugin_name }}"
SUMMARY = """{{ cookiecutter.summary | replace('\\', '') | replace('"', '') }}"""
AUTHOR = """{{ cookiecutter.author | replace('\\', '') | replace('"', '') }}"""
ORIGINAL_LENGTHS = ({{cookiecutter.summary | length}}, {{cookiecutter.author | length}})
PATTERN = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 50
LONGEST_LINE = 90


def problem() -> str | None:
    """Return what is wrong with the answers, or None."""
    if NAME.startswith("envcli-plugin-"):
        return f"the name {NAME!r} must not repeat the prefix envcli-plugin-"
    if not PATTERN.fullmatch(NAME) or len(NAME) > LONGEST:
        return (
            f"the name {NAME!r} must be lower-case words of letters and digits joined by single hyphens,"
            f" start with a letter and be at most {LONGEST} characters long"
        )
    if keyword.iskeyword(NAME):
        return f"the name {NAME!r} is a Python keyword"
    if (len(SUMMARY), len(AUTHOR)) != ORIGINAL_LENGTHS or not (SUMMARY + AUTHOR).isprintable():
        return "summary and author must be one line each, without double quotes and backslashes"
    if not SUMMARY or not AUTHOR or len(SUMMARY) > LONGEST_LINE or len(AUTHOR) > LONGEST_LINE:
        return f"summary and author must have 1 to {LONGEST_LINE} characters"
    return None


if found := problem():
    print(f"error: {found}", file=sys.stderr)
    sys.exit(1)
