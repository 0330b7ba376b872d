"""Reviews: what people who installed a plugin think of it."""
