"""Do input and output where no filter sees the calls."""

import ctypes

from hostile_kernel import call


def attack() -> str:
    parameters = ctypes.create_string_buffer(120)
    return f"descriptor {call('io_uring_setup', 4, ctypes.byref(parameters))}"
