"""The rules of OAuth 2.0 and OpenID Connect as the hub has them, without I/O."""
