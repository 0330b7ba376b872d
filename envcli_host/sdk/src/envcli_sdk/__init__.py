"""Typed SDK for envcli plugin authors."""
