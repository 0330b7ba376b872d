"""The same sandbox for somebody who is not root: it needs no privileges, and gives none."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import envcli_sandbox
import pytest
from envcli_sandbox import Tier
from security.hostile.harness import GUEST, PROGRAMS, TIERS, needs

NOBODY = 65534
PROGRAM = """
import json, sys
from pathlib import Path
sys.path.append(sys.argv[1])
from envcli_sandbox import *
here, tier, secret = Path(sys.argv[1]), Tier(sys.argv[2]), sys.argv[3]
request = SandboxRequest(tree=here / "programs", entry="", guest="hostile_guest:serve", guest_path=here / "guest",
                         floor=tier, prefer=tier)
results = {}
with open_sandbox(request, NullBroker(), NullAudit()) as sandbox:
    for name, params in json.loads(sys.argv[4]).items():
        try:
            results[name] = sandbox.call(name, params)
        except SandboxCallError as error:
            results[name] = None
    tier = sandbox.tier
print(json.dumps({"tier": tier, "control": Path(secret).read_text(), "results": results}))
"""


def _readable_interpreter() -> str:
    """Return a Python an ordinary user may start: this one, or the system's when this lies in a closed home."""
    own = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    is_open = all(folder.stat().st_mode & 0o001 for folder in own.parents)
    return str(own) if os.geteuid() != 0 or is_open else "/usr/bin/python3"


@pytest.mark.parametrize("tier", TIERS)
def test_an_ordinary_user_gets_the_same_sandbox(tier: Tier) -> None:
    needs(tier)
    with tempfile.TemporaryDirectory(prefix="envcli-user-") as name:
        folder = Path(name)
        package = Path(envcli_sandbox.__file__).parent
        for source in (package, PROGRAMS, GUEST):
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        secret = folder / "secret"
        secret.write_text("mine")
        _give_away(folder)
        wanted = {"read_file": {"path": str(secret)}, "fork": {}, "change_mode": {"path": str(secret)}}
        command = [_readable_interpreter(), "-B", "-I", "-c", PROGRAM, str(folder), tier.value, str(secret)]
        as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [*command, json.dumps(wanted)], capture_output=True, text=True, check=False, cwd="/", **as_user
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"tier": tier, "control": "mine", "results": dict.fromkeys(wanted)}


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
