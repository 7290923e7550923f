"""How long what the authorization server hands out lasts. Microseconds."""

from typing import Final

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
DAY_US: Final = 24 * 60 * MINUTE_US

ACCESS_US: Final = 60 * MINUTE_US
CODE_US: Final = 60 * SECOND_US
DEVICE_US: Final = 10 * MINUTE_US
DEVICE_INTERVAL_S: Final = 5
# A refresh token that nobody uses for so long, and the whole chain however often it is used.
REFRESH_UNUSED_US: Final = 30 * DAY_US
REFRESH_US: Final = 180 * DAY_US

# A signing key is published this long before it signs, so that no verifier's copy lacks it.
KEY_NOTICE_US: Final = 10 * MINUTE_US
JWKS_CACHE_S: Final = 300
KEY_AGE_US: Final = 90 * DAY_US
# Clocks of verifiers and of the hub's own processes may differ by so much.
LEEWAY_US: Final = 60 * SECOND_US
