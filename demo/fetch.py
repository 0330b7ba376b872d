"""Fetches a page, as anybody may: ``python demo/fetch.py URL [FILE]``. A bare machine has no curl."""

import sys
from pathlib import Path

import httpx


def main() -> int:
    """Print the page, or write it to a file. Return 1 when the answer is no success."""
    url, *target = sys.argv[1:]
    answer = httpx.get(url, timeout=30)
    if not answer.is_success:
        print(f"{url} answered {answer.status_code} {answer.reason_phrase}")
        return 1
    if target:
        Path(target[0]).write_bytes(answer.content)
    else:
        print(answer.text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
