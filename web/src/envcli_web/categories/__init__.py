"""Categories that plugins are filed under."""
