"""What the hub offers to servers that it calls."""

import ssl

from aigne_hub.transport.tls import verified_context


def test_every_suite_has_forward_secrecy_and_128_bits_and_the_best_come_first():
    context = verified_context(None)
    suites = context.get_ciphers()
    assert suites[0]["protocol"] == "TLSv1.3"
    for suite in suites:
        assert suite["strength_bits"] >= 128, suite["name"]
        assert suite["name"].startswith(("TLS_", "ECDHE-", "DHE-")), suite["name"]
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
