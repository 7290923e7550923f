"""What hub.yaml may say about payments, and where test money is refused."""

import pytest

from aigne_hub.hub_file import check_hub_file, load_hub_file
from aigne_hub.payment_settings import on_this_machine


def problems(tmp_path, text, environ=()):
    file = tmp_path / "hub.yaml"
    file.write_text(f"version: 1\n{text}")
    return [(one.path, one.message) for one in check_hub_file(file, dict(environ))]


def loaded(tmp_path, text, environ=()):
    file = tmp_path / "hub.yaml"
    file.write_text(f"version: 1\n{text}")
    return load_hub_file(file, dict(environ)).billing.payments


def test_the_defaults_are_a_page_that_an_admin_confirms(tmp_path):
    payments = loaded(tmp_path, "")
    assert (payments.mode, payments.currency, payments.credit_price) == ("manual", "usd", 10**9)
    assert (payments.stripe.key, payments.stripe.signing_secret) == ("", "")


def test_keys_come_from_variables_and_stay_out_of_sight(tmp_path):
    text = "billing: {payments: {stripe: {secret_key: '${KEY}', webhook_secret: '${EMPTY}'}}}\n"
    payments = loaded(tmp_path, text, {"KEY": "sk_live_hunter2", "EMPTY": ""})
    assert payments.stripe.key == "sk_live_hunter2"
    assert payments.stripe.signing_secret == ""
    assert "hunter2" not in repr(payments)


@pytest.mark.parametrize(
    ("payments", "path", "message"),
    [
        ("{mode: free}", "mode", "must be 'manual', 'test' or 'off'"),
        ("{currency: USD}", "currency", "must be an ISO 4217 code in lower case, like usd"),
        ("{credit_price: 0}", "credit_price", "must be more than 0"),
        ("{credit_price: 0.5}", "credit_price", "inexact"),
        ("{credit_price: '-1'}", "credit_price", "must not be negative"),
        ("{min: 20, max: 10}", "min", "must not be more than max"),
        ("{max: 1000000}", "max", "999999.99 USD"),
        ("{max: '0.000000001', min: '0.000000001'}", "max", "must cost something"),
        ("{stripe: {secret_key: pk_live_1}}", "stripe.secret_key", "is a publishable key"),
        ("{stripe: {secret_key: 'sk_1 '}}", "stripe.secret_key", "must be printable ASCII"),
        ("{stripe: {api_base: ftp://x}}", "stripe.api_base", "must be a URL"),
        ("{stripe: {publishable_key: pk_1}}", "stripe.publishable_key", "unknown key"),
    ],
)
def test_mistakes_are_named(tmp_path, payments, path, message):
    ((at, said),) = problems(tmp_path, f"billing: {{payments: {payments}}}\n")
    assert at == f"billing.payments.{path}"
    assert message in said
    assert "sk_1 " not in said


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("", False),
        ("public_url: http://127.0.0.1:8090\n", False),
        ("public_url: http://localhost:8090\n", False),
        ("public_url: https://hub.localhost\n", False),
        ("public_url: https://hub.example.com\n", True),
        ("public_url: http://hub.example.com\n", True),
        ("public_url: http://10.0.0.1\n", True),
        ("production: true\n", True),
        ("production: true\npublic_url: http://127.0.0.1:8090\n", True),
    ],
)
def test_test_mode_is_for_this_machine_only(tmp_path, text, refused):
    found = problems(tmp_path, f"{text}billing: {{payments: {{mode: test}}}}\n")
    assert [path for path, _ in found] == ["billing.payments.mode"] * refused


def test_an_override_is_checked_together_with_the_file(tmp_path):
    environ = {"AIGNE_HUB_BILLING_PAYMENTS_MODE": "test"}
    found = problems(tmp_path, "public_url: https://hub.example.com\n", environ)
    assert [path for path, _ in found] == ["billing.payments.mode"]


@pytest.mark.parametrize(
    ("key", "refused"), [("sk_test_1", True), ("rk_test_1", True), ("sk_live_1", False)]
)
def test_production_takes_no_test_key(tmp_path, key, refused):
    payments = f"{{stripe: {{secret_key: {key}}}}}"
    found = problems(tmp_path, f"production: true\nbilling: {{payments: {payments}}}\n")
    assert [path for path, _ in found] == ["billing.payments.stripe.secret_key"] * refused


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8090", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8090", True),
        ("http://0.0.0.0:8090", False),
        ("http://[::]:8090", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
    ],
)
def test_which_addresses_are_of_this_machine(url, local):
    assert on_this_machine(url) is local
