"""The client of plugin indexes: pinned trust, verified offers, freshness."""
