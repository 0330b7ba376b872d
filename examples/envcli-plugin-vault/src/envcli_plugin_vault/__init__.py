"""Environments in a Vault or OpenBao KV v2 engine."""
