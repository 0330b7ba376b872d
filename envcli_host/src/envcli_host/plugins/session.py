"""One plugin running in its sandbox."""

from types import TracebackType
from typing import Self

from envcli_sdk.commands import Command, Event, Result


class PluginSession:
    """A started and initialized plugin; leaving the context cleans it up and ends its process.

    Attributes:
        tier: ``base`` or ``hard``, the isolation in force.
        warnings: lines the user should see, for example about old trust metadata.
    """

    tier: str
    warnings: tuple[str, ...]

    def execute(self, command: Command) -> Result:
        """Carry out a command and return the result that belongs to its kind.

        The variables of an `EnvironmentValidation` are reduced to those that ``variable:read`` grants.

        Raises:
            PluginFailedError: the plugin raised, or ended; the message is cleaned of secrets.
        """
        raise NotImplementedError

    def handle_event(self, event: Event) -> None:
        """Tell the plugin of an event."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clean the plugin up and end its process."""
