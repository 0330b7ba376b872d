"""The envcli marketplace site: people, publishers, the catalog and opinions about it.

``envcli_web.app.create_app`` builds the site; ``envcli_web.market`` runs a whole marketplace on one machine.
"""
