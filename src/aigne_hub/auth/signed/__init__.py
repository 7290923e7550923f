"""Requests that applications sign instead of sending a key: `/api/v1` and `/api/app`.

Three forms: a remote application's headers, a sibling component's headers (both of Blocklet
Server, `docs/identity.md`), and HTTP message signatures (RFC 9421).
"""
