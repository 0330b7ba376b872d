"""envcli-web: creates and runs the site."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from envcli_web.config import WebConfig, data_directory
from envcli_web.errors import WebError

DEFAULT_PORT = 4040


def _init(arguments: argparse.Namespace) -> int:
    from envcli_web.identity.keys import create_keys
    from envcli_web.migrations import upgrade

    data = data_directory(arguments.data)
    config = WebConfig(
        data=data,
        url=arguments.url,
        index_url=arguments.index_url,
        upload_url=arguments.upload_url,
        index_root_sha256=arguments.index_root_sha256,
        database=arguments.database_url,
        trusted_proxies=arguments.trusted_proxies,
    )
    config.save()
    data.chmod(0o700)
    create_keys(config.keys)
    upgrade(config)
    print(f"site ready in {data}: {config.url}")
    return 0


def _migrate(arguments: argparse.Namespace) -> int:
    from envcli_web.migrations import upgrade

    upgrade(WebConfig.load(data_directory(arguments.data)))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from envcli_web.server import serve

    config = WebConfig.load(data_directory(arguments.data))
    serve(
        config, host=arguments.host, port=arguments.port, workers=arguments.workers, threads=arguments.threads
    )
    return 0


def _work(arguments: argparse.Namespace) -> int:
    from envcli_web.app import create_app
    from envcli_web.jobs.worker import Worker

    config = WebConfig.load(data_directory(arguments.data))
    worker = Worker(create_app(config), config.data, poll_seconds=arguments.poll)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopping.set())
    worker.run()
    return 0


def _admin_code(arguments: argparse.Namespace) -> int:
    from envcli_web.accounts.services import count_admins
    from envcli_web.admin.services import create_code
    from envcli_web.app import create_app
    from envcli_web.database import write

    config = WebConfig.load(data_directory(arguments.data))
    with create_app(config).app_context(), write() as session:
        if arguments.unless_claimed and count_admins(session):
            return 0
        path = create_code(session, config.data)
    print(f"one-time code for the administrator, valid for 15 minutes: {path}")
    print(f"sign in and enter it at {config.url}/admin/claim")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="envcli-web", description="The envcli marketplace site")
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, help="data directory of the site (or set ENVCLI_WEB_DATA)")

    init = commands.add_parser("init", parents=[shared], help="create keys, settings and database")
    init.add_argument("--url", required=True, help="public URL of the site; also the issuer of identities")
    init.add_argument("--index-url", required=True, help="public URL of the index")
    init.add_argument("--upload-url", default="", help="URL that publishers upload to")
    init.add_argument(
        "--index-root-sha256",
        default="",
        help="fingerprint of the index, whose signed events are then required",
    )
    init.add_argument(
        "--database-url", default="", help="SQLAlchemy URL; SQLite in the data directory without it"
    )
    init.add_argument(
        "--trusted-proxies", type=int, default=0, help="number of reverse proxies in front of the site"
    )
    init.set_defaults(run=_init)

    commands.add_parser("migrate", parents=[shared], help="bring the database up to date").set_defaults(
        run=_migrate
    )

    serve = commands.add_parser("serve", parents=[shared], help="answer requests")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=DEFAULT_PORT)
    serve.add_argument("--workers", type=int, default=1, help="number of processes")
    serve.add_argument("--threads", type=int, default=8, help="number of threads in each process")
    serve.set_defaults(run=_serve)

    worker = commands.add_parser("worker", parents=[shared], help="follow the index and run background jobs")
    worker.add_argument("--poll", type=float, default=1.0, help="seconds between two looks at the index")
    worker.set_defaults(run=_work)

    code = commands.add_parser(
        "admin-code", parents=[shared], help="make a one-time code for an administrator"
    )
    code.add_argument(
        "--unless-claimed", action="store_true", help="do nothing where an administrator exists"
    )
    code.set_defaults(run=_admin_code)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; errors are one line on standard error and exit status 1."""
    arguments = _parser().parse_args(argv)
    os.umask(0o077)  # databases and logs are nobody else's business
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    for noisy in ("httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        return int(arguments.run(arguments))
    except (WebError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
