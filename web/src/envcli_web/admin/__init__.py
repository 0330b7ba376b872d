"""Administration of the site: the first administrator's code, accounts, and a record of what was done."""
