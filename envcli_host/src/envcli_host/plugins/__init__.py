"""The plugin runtime: what is installed, what it was granted, and calling it inside its sandbox."""
