"""Pure trust and permission policy of envcli."""
