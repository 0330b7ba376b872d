"""The child: takes a policy from its socket, restricts itself, and only then imports and runs the guest.

It imports its own package and the standard library, nothing else.
"""

import os
import socket
import sys
from typing import NoReturn, cast

from envcli_sandbox.errors import SandboxError
from envcli_sandbox.policy import Policy
from envcli_sandbox.protocol import Channel
from envcli_sandbox.runner.channel import GuestChannel
from envcli_sandbox.runner.imports import (
    forget_folder,
    load_function,
    remember_standard_library,
    search_in,
)
from envcli_sandbox.runner.restrict import restrict
from envcli_sandbox.runner.sockets import connect_through

_COULD_NOT_START = 70  # EX_SOFTWARE of sysexits.h


def run(descriptor: int, host_folder: str) -> NoReturn:
    """Live the child's whole life.

    Args:
        descriptor: the socket to the host.
        host_folder: folder this package was imported from, to be forgotten.
    """
    channel = Channel(socket.socket(fileno=descriptor), accepts_fds=True)
    frame = channel.receive()
    if frame is None:
        os._exit(_COULD_NOT_START)
    policy = cast("Policy", frame.message)
    try:
        forget_folder(host_folder)
        remember_standard_library()
        restricted = restrict(policy)
    except (OSError, ValueError, SandboxError) as error:
        _refuse(channel, str(error))
    listener = () if restricted.listener is None else (restricted.listener,)
    channel.send({"ready": {"tier": policy["tier"], "mechanisms": restricted.mechanisms}}, listener)
    for inherited in listener:
        os.close(inherited)
    _serve(channel, policy)


def _serve(channel: Channel, policy: Policy) -> NoReturn:
    os.environ.update(policy["environment"], HOME=policy["scratch"], TMPDIR=policy["scratch"])
    search_in(policy["search"])
    guest = GuestChannel(channel)
    connect_through(guest)
    try:
        serve = load_function(policy["guest"])
    except Exception as error:  # noqa: BLE001 whatever the guest's import raises is told to the host
        _refuse(channel, f"the guest cannot be imported: {type(error).__name__}: {error}")
    serve(guest, policy["entry"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _refuse(channel: Channel, why: str) -> NoReturn:
    channel.send({"refused": why[:2000]})
    os._exit(_COULD_NOT_START)
