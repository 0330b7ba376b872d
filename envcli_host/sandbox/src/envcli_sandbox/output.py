"""What untrusted code prints or says, made harmless for a terminal and a log."""

import unicodedata

_HARMLESS = frozenset("\n\t")
_DANGEROUS = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
_REPLACEMENT = "\ufffd"


def sanitise(text: str) -> str:
    """Return ``text`` with control, direction and private characters replaced; escape sequences need them."""
    if text.isprintable():
        return text
    return "".join(_REPLACEMENT if _is_dangerous(character) else character for character in text)


def _is_dangerous(character: str) -> bool:
    return character not in _HARMLESS and unicodedata.category(character) in _DANGEROUS


class BoundedBuffer:
    """Keeps the first bytes of a stream and counts on."""

    def __init__(self, room: int) -> None:
        """Keep at most ``room`` bytes."""
        self.truncated = False
        self._room = room
        self._kept = bytearray()

    def add(self, chunk: bytes) -> None:
        """Keep what fits of ``chunk``."""
        fitting = chunk[: self._room - len(self._kept)]
        self._kept += fitting
        self.truncated |= len(fitting) < len(chunk)

    @property
    def text(self) -> str:
        """Return what was kept, sanitised."""
        return sanitise(self._kept.decode("utf-8", "replace"))
