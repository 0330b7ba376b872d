"""The guest of the hostile tests: each call imports a program of the tree and runs what it is told to."""

import importlib
from typing import Any


def serve(channel: Any, entry: str) -> None:
    """Run ``entry``'s function for each call; what it returns is the evidence that an attack got through."""
    while (call := channel.receive()) is not None:
        try:
            program = importlib.import_module(f"hostile_{call.method}")
            channel.answer(call.id, program.attack(**call.params))
        except BaseException as error:  # noqa: BLE001 a hostile program may raise anything
            channel.fail(call.id, type(error).__name__, str(error))


def serve_raw(channel: Any, entry: str) -> None:
    """Hand the channel itself to the program ``entry``."""
    importlib.import_module(f"hostile_{entry}").attack(channel)
