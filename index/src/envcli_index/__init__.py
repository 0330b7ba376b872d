"""devpi-based plugin index of envcli."""
