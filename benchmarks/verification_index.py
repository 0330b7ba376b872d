"""A small index with one release, in a process of its own: ``python verification_index.py TESTS``."""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from common.index_simulator import PUBLISHER, IndexSimulator, make_plugin, make_wheel, serve_index
from common.private_sigstore import PrivateSigstore


def main() -> None:
    """Serve until the process is ended; say address, project, version and wheel on one line."""
    with tempfile.TemporaryDirectory() as name:
        sigstore = PrivateSigstore(Path(name))
        who = (PUBLISHER["identity"], PUBLISHER["issuer"])
        simulator = IndexSimulator(
            lambda filename, sha256: sigstore.provenance(filename, sha256, *who), sigstore.trusted_root
        )
        wheel = make_plugin("envcli-plugin-bench", "1.0")
        simulator.release(wheel, tuple(make_wheel(f"dependency-{number}", "1.0") for number in range(8)))
        with serve_index(simulator):
            print(simulator.url, wheel.name, wheel.version, wheel.filename, wheel.sha256, flush=True)
            while True:
                time.sleep(1)


if __name__ == "__main__":
    main()
