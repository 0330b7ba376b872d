"""Serving the site with granian."""

import multiprocessing
import os
from typing import Any

from granian.constants import Interfaces
from granian.server import Server

from envcli_web.app import create_app
from envcli_web.config import WebConfig, data_directory
from envcli_web.processes import end_with_parent


def application() -> Any:
    """Build the site in a worker process of the server; the data directory comes from the environment."""
    server = multiprocessing.parent_process()
    if server is not None and server.pid is not None:
        end_with_parent(server.pid)
    return create_app(WebConfig.load(data_directory(None))).wsgi_app


def serve(config: WebConfig, *, host: str, port: int, workers: int, threads: int) -> None:
    """Answer requests until SIGTERM.

    Args:
        config: settings of the site; checked here so that mistakes are one clear line.
        host: address to listen on.
        port: TCP port.
        workers: number of processes.
        threads: number of threads in each process.
    """
    create_app(config)
    os.environ["ENVCLI_WEB_DATA"] = str(config.data)
    Server(
        "envcli_web.server:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=threads,
        backpressure=128,
        factory=True,
        respawn_failed_workers=True,
        workers_kill_timeout=3,
        websockets=False,
        log_access=False,
    ).serve()
