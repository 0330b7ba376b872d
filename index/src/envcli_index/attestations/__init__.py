"""Attestations (PEP 740) as devpi keeps them and as readers get them."""
