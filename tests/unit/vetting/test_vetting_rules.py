"""Every rule that an observation can name is explained on the rules page, and the page explains no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "vetting-rules.md"
SOURCES = [
    *(ROOT / "policies" / "vetting" / "src").rglob("*.py"),
    ROOT / "index" / "src" / "envcli_index" / "worker_closure.py",
]
MAKERS = {
    "ArchiveError",
    "ClosureError",
    "Observation",
    "SuspiciousText",
    "_wrong",
    "error",
    "review",
    "warning",
}


def named_rules() -> Iterator[str]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
                given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "rule")]
                yield from (
                    one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )


def test_rules_and_page_agree() -> None:
    explained = re.findall(r"^### (\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(set(named_rules())) == sorted(explained)


def test_every_check_stands_on_the_page() -> None:
    from envcli_vetting.check import CHECKS, load_check

    page = PAGE.read_text(encoding="utf-8")
    for check_id in CHECKS:
        assert re.search(
            rf"^\| `{check_id}` \|.*\| {load_check(check_id).seconds:.0f} s \|$", page, re.MULTILINE
        )
