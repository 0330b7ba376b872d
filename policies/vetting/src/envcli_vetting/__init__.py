"""Vetting checks for envcli plugins."""
