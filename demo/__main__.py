"""Shows the whole journey: publish, vet, approve, find, install verified, run restricted; and the attacks on it."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.journey import Journey, run_journey, wait_for
from demo.market import free_port, is_listening, running_market
from demo.shell import DemoError, Report, Shell
from demo.wheels import build_first_party, make_host


def main() -> int:
    """Run the demo in a temporary folder. Return 0 only if every claim holds."""
    started, report = time.monotonic(), Report()
    try:
        with tempfile.TemporaryDirectory(prefix="envcli-demo-") as name, ExitStack() as stack:
            run_journey(prepare(Path(name), report, stack))
    except DemoError as error:
        print(f"\nFAIL  the demo stopped: {error}", file=sys.stderr)
        report.finish()
        return 1
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    return report.finish()


def prepare(folder: Path, report: Report, stack: ExitStack) -> Journey:
    """Build our wheels, make the user's environment, and start the market and the AWS API."""
    tools = Shell(folder, programs=(Path(sys.executable).parent,))
    print("Building our wheels and an environment that holds the host alone ...", flush=True)
    first_party = folder / "first-party"
    build_first_party(tools, first_party)
    programs = make_host(tools, folder / "host", folder / "host-wheels")
    project = folder / "project"
    project.mkdir()
    print("Starting a market on free loopback ports ...", flush=True)
    market = stack.enter_context(running_market(tools, folder / "market", first_party))
    print(f"  site {market.web}, index {market.public}, uploads {market.devpi}/upload/", flush=True)
    user = Shell(project, {"ENVCLI_HOME": str(folder / "user-home")}, (programs, *tools.programs))
    user.variables["DEMO_AWS"] = stack.enter_context(moto_server(tools))
    return Journey(
        market=market,
        report=report,
        publisher=Shell(folder, {"ENVCLI_HOME": str(folder / "publisher-home")}, tools.programs),
        reviewer=Shell(folder, {}, tools.programs),
        user=user,
        folder=folder,
        tier=probe_tier(user),
    )


def probe_tier(user: Shell) -> str:
    """Return how strongly this machine can confine plugins, and say so."""
    ran = user.must("envcli", "plugin", "doctor", "--json")
    tier = "hard" if ran.shows(r"tiers: [a-z, ]*\bhard\b") else "base"
    hint = (
        "" if tier == "hard" else " (no bubblewrap here: apt-get install -y bubblewrap gives the hard tier)"
    )
    print(f"Plugins run in the {tier} tier{hint}.", flush=True)
    return tier


@contextmanager
def moto_server(tools: Shell) -> Iterator[str]:
    """Run moto's server, which answers as AWS does, until the block ends; yield its address."""
    port = free_port()
    program = Path(sys.executable).parent / "moto_server"
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        env=tools.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for("moto's server", lambda: is_listening(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    raise SystemExit(main())
