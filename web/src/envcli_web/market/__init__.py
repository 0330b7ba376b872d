"""envcli-market: a whole marketplace on one machine, as child processes that share nothing but files and HTTP."""

from envcli_web.market.cli import main

__all__ = ["main"]
