import ssl


def verified_context(context: ssl.SSLContext | None) -> ssl.SSLContext:
    """Return `context`, or the system's trust, set up for HTTP/1.1 over TLS 1.2 or newer.

    Raises ValueError for a context that does not verify the peer's chain and name: there is
    no way to call a provider without knowing who answers.
    """
    if context is None:
        context = ssl.create_default_context()
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ValueError("the TLS context must verify certificates and host names")
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.set_alpn_protocols(["http/1.1"])
    return context


def failure(error: ssl.SSLError) -> str:
    """Return why a handshake failed, in words without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was refused: {error.verify_message}"
    return f"the TLS handshake failed: {error.reason or 'the peer broke it off'}"
