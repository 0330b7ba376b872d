"""Plugins may be ``def`` or ``async def``; only the latter pay for an event loop.

The SDK's own coroutines wait for nothing but plugin code. They run without a loop, and hand whatever a plugin gave
them to await over to `Driver`, which starts a loop when that first happens and keeps it for the plugin's life.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    import asyncio

_T = TypeVar("_T")


class _Handover:
    """Awaited by the SDK's coroutines; reaches the driver with what is to be awaited in a loop."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.awaitable = awaitable

    def __await__(self) -> Generator[_Handover, Any, Any]:
        return (yield self)


async def settle(value: Awaitable[_T] | _T) -> _T:
    """Return ``value``, awaited where it is awaitable."""
    if not isinstance(value, Awaitable):
        return value
    if _is_loop_running() or _is_own(value):
        awaited: _T = await value
        return awaited
    handed: _T = await _Handover(value)
    return handed


class Driver:
    """Runs the SDK's coroutines; a context manager that closes the loop, if there was one."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine of the SDK to its end."""
        answer: Any = None
        failure: BaseException | None = None
        while True:
            try:
                handed = coroutine.send(answer) if failure is None else coroutine.throw(failure)
            except StopIteration as done:
                result: _T = done.value
                return result
            answer, failure = self._await(handed)

    def _await(self, handed: _Handover) -> tuple[Any, BaseException | None]:
        try:
            return self._loop().run(_as_coroutine(handed.awaitable)), None
        except Exception as error:  # noqa: BLE001 - thrown into the coroutine that awaits
            return None, error

    def _loop(self) -> asyncio.Runner:
        if self._runner is None:
            import asyncio

            self._runner = asyncio.Runner()
        return self._runner

    def __enter__(self) -> Self:
        """Return the driver."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the loop."""
        if self._runner is not None:
            self._runner.close()


async def _as_coroutine(awaitable: Awaitable[_T]) -> _T:
    return await awaitable


def _is_own(value: object) -> bool:
    """Whether ``value`` is a coroutine of the SDK, which waits for plugin code only through `settle`."""
    code = getattr(value, "cr_code", None)
    return code is not None and os.path.dirname(code.co_filename) == _HERE  # noqa: PTH120 - compared as text


def _is_loop_running() -> bool:
    """Whether a plugin's own coroutine, run in a loop, called back into the SDK."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


_HERE = os.path.dirname(settle.__code__.co_filename)  # noqa: PTH120 - as the compiler wrote it
