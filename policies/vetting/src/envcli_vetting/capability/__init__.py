"""What a plugin's code can be seen to do, read from its syntax trees alone."""
