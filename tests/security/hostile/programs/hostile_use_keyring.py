"""Look into the user's keys in the kernel."""

from hostile_kernel import call

KEYCTL_GET_KEYRING_ID, USER_SESSION = 0, -5


def attack() -> str:
    return f"keyring {call('keyctl', KEYCTL_GET_KEYRING_ID, USER_SESSION, 1)}"
