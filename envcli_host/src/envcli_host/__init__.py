"""The envcli command and its plugin host."""

__version__ = "0.1.0"
