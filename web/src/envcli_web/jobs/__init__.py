"""Background work: a job table in the site's own database, and the worker that empties it."""
