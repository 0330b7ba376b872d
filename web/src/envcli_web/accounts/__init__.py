"""People: sign-up, sign-in, sessions and the account page."""
