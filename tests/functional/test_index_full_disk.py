"""A disk that is really full: a small file system of its own, filled to the brim."""

import json
import os
import subprocess
import sys
from pathlib import Path

from common.require import require

SCENARIO = """
import json, os, sys
from pathlib import Path
from common.index_server import plugin_wheel, running_index
from envcli_index.database import connect, file, read
from sqlalchemy import select

folder = Path(sys.argv[1])
def fill(leave):
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "filler").write_bytes(bytes(max(free - leave, 0)))

with running_index(folder / "data", "devpi") as index:
    answers = [index.upload(plugin_wheel())]
    big = plugin_wheel(files={"envcli_blob/blob.bin": os.urandom(6 << 20)})
    attestations = index.attest(big)
    for leave in (2 << 20, 0):
        fill(leave)
        answers.append(index.upload(big, attestations=attestations))
        (folder / "filler").unlink()
        with read(connect(index.config)) as connection:
            known = connection.execute(select(file.c.id).where(file.c.filename == big.filename)).first()
        stored = [str(one) for one in (folder / "data/devpi").rglob(big.filename)]
        answers.append(known is None and not stored)
    answers.append(index.upload(big, attestations=attestations))
print(json.dumps([a if isinstance(a, bool) else [a.status_code, a.text] for a in answers]))
"""


def test_full_disk_refuses_uploads_stores_nothing_and_recovers(tmp_path: Path) -> None:
    require("bwrap")
    space = tmp_path / "space"
    space.mkdir()
    sandbox = ["bwrap", "--dev-bind", "/", "/", "--size", str(48 << 20), "--tmpfs", str(space)]
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [*sandbox, sys.executable, "-c", SCENARIO, str(space)],
        env=os.environ | {"PYTHONPATH": str(tests)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    before, little, clean, none, clean_too, after = json.loads(done.stdout.splitlines()[-1])
    assert before[0] == 200
    for refused in (little, none):
        assert refused[0] == 507, refused
        assert refused[1].startswith("storage-full: ")
    assert clean
    assert clean_too
    assert after[0] == 200, after
