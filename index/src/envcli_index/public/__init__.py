"""The public tree: files that readers are served, rendered once and replaced atomically."""
