"""The catalog: a projection of the index's public tree that people can search and read."""
