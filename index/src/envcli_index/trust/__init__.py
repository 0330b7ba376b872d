"""The trust services of an index: certificate authority, transparency logs, TUF repository and advisories.

Each long-running service is a process of its own that alone reads its private keys:

* :mod:`~envcli_index.trust.authority` issues ten-minute certificates for publishers' identity tokens;
* :mod:`~envcli_index.trust.log` records signatures and certificates in append-only Merkle trees;
* :mod:`~envcli_index.trust.timestamp` signs the TUF role that vouches for freshness.

The gate publishes through :mod:`~envcli_index.trust.tuf`; clients learn whom to trust from
:mod:`~envcli_index.trust.client_config`; :mod:`~envcli_index.trust.osv` answers questions on known
vulnerabilities.
"""
