"""Read another process's memory."""

import ctypes

from hostile_kernel import call


def attack(pid: int, address: int) -> str:
    class Span(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    buffer = ctypes.create_string_buffer(8)
    local, remote = Span(ctypes.addressof(buffer), 8), Span(address, 8)
    call("process_vm_readv", pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    return buffer.raw.hex()
