"""Numbers about the use of plugins, and how they were counted."""
