"""DID Connect: wallets that sign people in (docs/did.md)."""
