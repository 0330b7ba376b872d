"""The envcli marketplace site: people, publishers, the catalog and opinions about it."""

from envcli_web.app import create_app
from envcli_web.config import WebConfig
from envcli_web.errors import WebError

__all__ = ["WebConfig", "WebError", "create_app"]
