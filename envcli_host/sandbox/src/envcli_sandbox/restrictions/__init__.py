"""What a process can take away from itself: one module per mechanism, by ctypes, without third-party code.

Everything here is irreversible for the calling process and inherited by whatever it starts. None of it needs
privileges.
"""
