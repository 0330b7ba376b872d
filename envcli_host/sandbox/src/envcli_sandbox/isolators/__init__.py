"""Ways to start a child: one module per way."""
