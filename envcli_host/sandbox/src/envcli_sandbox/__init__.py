"""Restricted subprocesses for envcli plugins."""
