"""Grammar of the names that plugins contribute."""

import re

IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
"""Ids, commands, rules, schemes: lower-case words joined by ``-``."""

EVENT = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+/[1-9][0-9]{0,2}")
"""Events: ``subject.verb/version``."""
