"""The envcli marketplace site."""
