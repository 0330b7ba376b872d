"""Tries what no plugin may do, and tells how it went."""
