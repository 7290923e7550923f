"""The hub's own HTTP API: accounts for their owners, everything else for administrators."""
