"""The OpenID Connect provider: who a person or a publisher is, told to other programs in signed tokens."""
