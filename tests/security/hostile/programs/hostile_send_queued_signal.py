"""Kill another process by a queued signal."""

import ctypes
import struct

from hostile_kernel import call


def attack(pid: int) -> str:
    information = ctypes.create_string_buffer(struct.pack("=iii", 9, 0, -1), 128)
    call("rt_sigqueueinfo", pid, 9, ctypes.byref(information))
    return "killed"
