"""Become root of an own user namespace, from which much of the kernel can be reached."""

from hostile_kernel import call

CLONE_NEWUSER = 0x10000000


def attack() -> str:
    call("unshare", CLONE_NEWUSER)
    return "unshared"
