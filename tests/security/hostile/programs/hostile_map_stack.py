"""Reserve memory as a stack, which the data limit does not count."""

from hostile_kernel import call

READ_WRITE, PRIVATE_ANONYMOUS_GROWSDOWN = 3, 0x122


def attack(size: int) -> str:
    return hex(call("mmap", 0, size, READ_WRITE, PRIVATE_ANONYMOUS_GROWSDOWN, -1, 0))
