"""Started by path in a bare interpreter: ``python -I -S -X utf8 …/runner/__main__.py DESCRIPTOR``."""

import sys

_PACKAGES = __file__.rsplit("/", 3)[0]
sys.path.append(_PACKAGES)

from envcli_sandbox.runner import run  # noqa: E402 the line above makes it importable

if __name__ == "__main__":
    run(int(sys.argv[1]), _PACKAGES)
