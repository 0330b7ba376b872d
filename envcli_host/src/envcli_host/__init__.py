"""The envcli command and its plugin host."""
