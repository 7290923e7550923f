"""Start TensorZero's own HTTP gateway from its wheel; run by the peer's Python, not by ours."""

import signal
import sys
from urllib.parse import urlsplit

from tensorzero import tensorzero

gateway = tensorzero._start_http_gateway(  # noqa: SLF001 - the wheel has no public way
    config_file=sys.argv[1],
    clickhouse_url=None,
    postgres_url=None,
    valkey_url=None,
    async_setup=False,
)
print(f"port {urlsplit(gateway.base_url).port}", flush=True)
signal.pause()
