"""The JSON interface for programs: plugins, and install receipts."""
