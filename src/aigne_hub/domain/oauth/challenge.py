"""How a caller without a token is told where tokens are to be had (RFC 6750, 3; RFC 9728, 5.1)."""


def challenge(public_url: str) -> str:
    """Return what `www-authenticate` says of a hub reached at `public_url`."""
    return f'Bearer resource_metadata="{public_url}/.well-known/oauth-protected-resource"'
