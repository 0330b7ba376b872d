"""The process in which one check runs: a tree on standard input, its findings on standard output, both
JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from envcli_vetting.check import load_check
from envcli_vetting.errors import CheckError, CheckSkippedError
from envcli_vetting.observation import outcome_of
from envcli_vetting.process import limit_resources
from envcli_vetting.tree import ReleaseTree


def main(check_id: str) -> None:
    """Run one check within its limits and print what it says."""
    check = load_check(check_id)
    limit_resources(check.seconds)
    tree = ReleaseTree.from_json(sys.stdin.read())
    answer: dict[str, Any] = {"observations": [], "facts": {}, "detail": ""}
    try:
        findings = check.run(tree)
    except CheckSkippedError as skipped:
        answer |= {"outcome": "skipped", "detail": str(skipped)}
    except CheckError as broken:
        answer |= {"outcome": "error", "detail": str(broken)}
    else:
        answer["outcome"] = outcome_of(findings.observations)
        answer["observations"] = [one.to_json() for one in findings.observations]
        answer["facts"] = dict(findings.facts)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
