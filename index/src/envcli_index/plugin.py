"""devpi-server hook implementations."""
