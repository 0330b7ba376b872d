"""The whole journey on real parts, as a program: ``python -m demo``."""
