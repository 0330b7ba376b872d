"""Settings of every test: examples are judged by what they show, never by how long a busy machine takes."""

from hypothesis import settings

if settings.default is not None:
    settings.register_profile("envcli", parent=settings.default, deadline=None)
    settings.load_profile("envcli")
