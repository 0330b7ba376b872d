"""Run a program of the machine."""

import os


def attack() -> str:
    os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", ":"], {}), 0)
    return "ran"
