"""The command line of envcli-market."""

import argparse
import fcntl
import ipaddress
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from envcli_web.errors import ConfigurationError, WebError
from envcli_web.files import private_directory
from envcli_web.market.parts import parts_of
from envcli_web.market.settings import FILE_NAME, SERVERS, MarketSettings
from envcli_web.market.setup import (
    admin_code,
    choose_settings,
    initialise,
    root_fingerprint,
    wait_for_ports,
)
from envcli_web.market.supervisor import Supervisor


@contextmanager
def exclusive(data: Path) -> Iterator[None]:
    """Hold the marketplace's lock, so that two supervisors never run the same data.

    Where no marketplace came of it, the folders and the lock that were made for it are gone afterwards.

    Raises:
        ConfigurationError: another supervisor runs, or the directory cannot be used.
    """
    made = [folder for folder in (data, *data.parents) if not folder.exists()]
    path = data / "market.lock"
    try:
        private_directory(data)
        lock = path.open("a")
    except OSError as error:
        _remove_empty(made)
        raise ConfigurationError(
            f"{data} cannot hold a marketplace: {error.strerror}",
            remedy="Give --data a directory that can be made and written to",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"The marketplace in {data} is running already",
                remedy="Stop it first, or choose another directory",
            ) from error
        try:
            yield
        finally:
            if not (data / FILE_NAME).exists():
                path.unlink(missing_ok=True)
                _remove_empty(made)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, the innermost first, up to one that is not there or not empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return


def _loopback(text: str) -> str:
    try:
        if ipaddress.ip_address(text).is_loopback:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("use a loopback address and put a reverse proxy with TLS in front of it")


def _summary(settings: MarketSettings, supervisor: Supervisor, code: Path | None) -> dict[str, object]:
    fingerprint = root_fingerprint(settings)
    return {
        "ready": True,
        "data": str(settings.data),
        "urls": {name: settings.url(name) for name in SERVERS},
        "upload_url": f"{settings.url('devpi')}/upload/",
        "simple_url": f"{settings.url('public')}/simple/",
        "root_sha256": fingerprint,
        "index_add": f"envcli index add {settings.url('public')} --root-sha256 {fingerprint}",
        "admin_code_file": str(code) if code else None,
        "pids": {child.part.name: child.process.pid for child in supervisor.children if child.process},
    }


def _print_summary(summary: dict[str, object], settings: MarketSettings) -> None:
    print(f"The marketplace is ready: {settings.url('web')}")
    print(f"  index (pip, uv):  {summary['simple_url']}")
    print(f"  uploads:          {summary['upload_url']}")
    print(f"  logs:             {settings.logs}")
    print(f"  trust root:       sha256 {summary['root_sha256']}")
    print("Use it from envcli:")
    print(f"  {summary['index_add']}")
    if summary["admin_code_file"]:
        print("Become its administrator: sign up, then enter the one-time code (15 minutes) at")
        print(f"  {settings.url('web')}/admin/claim   code in: {summary['admin_code_file']}")


def _up(arguments: argparse.Namespace) -> int:
    with exclusive(arguments.data):
        settings = choose_settings(arguments.data, arguments.host, arguments.port_base)
        wait_for_ports(settings)
        settings.save()
        initialise(settings, arguments.first_party, arguments.upstream_index)
        code = admin_code(settings)
        supervisor = Supervisor(parts_of(settings), settings.logs, ready_seconds=arguments.ready_seconds)

        def announce() -> None:
            summary = _summary(settings, supervisor, code)
            if arguments.json:
                print(json.dumps(summary))
            else:
                _print_summary(summary, settings)
            sys.stdout.flush()

        supervisor.run(announce)
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from envcli_web.market.doctor import examine

    findings = examine(MarketSettings.load(arguments.data))
    for finding in findings:
        print(f"{'ok     ' if finding.is_good else 'PROBLEM'} {finding.text}")
    return 0 if all(finding.is_good for finding in findings) else 1


def _backup(arguments: argparse.Namespace) -> int:
    from envcli_web.market.backup import back_up

    MarketSettings.load(arguments.data)
    count = back_up(arguments.data, arguments.file)
    print(
        f"{count} files saved in {arguments.file}; it holds secret keys, keep it as safe as the marketplace itself"
    )
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from envcli_web.market.backup import restore

    count = restore(arguments.file, arguments.data)
    print(
        f"{count} files restored to {arguments.data}; start it with: envcli-market up --data {arguments.data}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="envcli-market", description="A whole envcli marketplace on one machine"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, required=True, help="directory of the marketplace")

    up = commands.add_parser("up", parents=[shared], help="create it if necessary, and run it until SIGTERM")
    up.add_argument("--host", type=_loopback, default="127.0.0.1", help="loopback address to listen on")
    up.add_argument("--port-base", type=int, help="first of five ports, 4040 at first; 0 chooses free ones")
    up.add_argument("--json", action="store_true", help="print one JSON line when ready")
    up.add_argument(
        "--first-party", type=Path, help="directory of wheels of this project that plugins depend on"
    )
    up.add_argument("--upstream-index", help="simple index that third-party dependencies are resolved from")
    up.add_argument(
        "--ready-seconds", type=float, default=300.0, help="how long all parts may take to come up"
    )
    up.set_defaults(run=_up)

    commands.add_parser("doctor", parents=[shared], help="look for problems").set_defaults(run=_doctor)
    backup = commands.add_parser(
        "backup", parents=[shared], help="save a consistent copy, also while it runs"
    )
    backup.add_argument("file", type=Path, help="tar file to write")
    backup.set_defaults(run=_backup)
    restore = commands.add_parser("restore", parents=[shared], help="unpack a copy into a new directory")
    restore.add_argument("file", type=Path, help="tar file to read")
    restore.set_defaults(run=_restore)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; errors are one line on standard error and exit status 1."""
    arguments = _parser().parse_args(argv)
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        return int(arguments.run(arguments))
    except WebError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        cause = error.strerror or type(error).__name__
        remedy = "Check the path, its permissions and the free space"
        print(f"error: {error.filename or 'input/output'}: {cause}. {remedy}", file=sys.stderr)
    return 1
