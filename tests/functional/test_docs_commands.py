"""Every command of the tutorials works as it stands, in an empty folder and in the order of the page."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["tutorial/first-project.md", "tutorial/first-plugin.md"]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Return the commands of a page: the lines of its console blocks that start with a prompt."""
    text = (ROOT / "docs" / page).read_text()
    return [line[2:] for block in BLOCK.findall(text) for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_the_page_work(page: str, tmp_path: Path) -> None:
    found = commands(page)
    assert found
    work = tmp_path / "work"
    work.mkdir()
    programs = Path(sys.executable).parent
    env = {name: os.environ[name] for name in ("HOME", "LANG", "SSL_CERT_FILE") if name in os.environ}
    env |= {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "ENVCLI_HOME": str(tmp_path / "home")}
    script = "set -euo pipefail\n" + "\n".join(found)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=work,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_command_that_gathers_first_party_wheels_works(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/run-a-market.md").read_text()
    (line,) = [one for one in page.splitlines() if one.startswith("$ python3 -m pip wheel")]
    program, *arguments = shlex.split(line[2:].replace("/srv/first-party", str(tmp_path / "wheels")))
    assert program == "python3"
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    names = sorted(path.name.split("-")[0] for path in (tmp_path / "wheels").iterdir())
    assert names == ["envcli_sdk", "pluggy"]
