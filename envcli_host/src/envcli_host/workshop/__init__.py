"""Tools for plugin authors: scaffold, test, lint, build, sign, publish and follow a release."""
