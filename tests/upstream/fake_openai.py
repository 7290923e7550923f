"""Run the upstream: `python -m tests.upstream.fake_openai --port 0` prints `port N`."""

import argparse
import asyncio
import signal
import ssl
from collections.abc import Callable

from tests.upstream.server import Upstream

try:
    import uvloop
except ImportError:  # it has no build for Windows
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    loop_factory = uvloop.new_event_loop


async def serve(host: str, port: int, context: ssl.SSLContext | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await Upstream().listen(host, port, context)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description="A local upstream with OpenAI's wire.")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=0, help="0 takes a free one")
    arguments.add_argument("--certfile", help="PEM certificate chain; TLS when given")
    arguments.add_argument("--keyfile", help="PEM key of the certificate")
    given = arguments.parse_args()
    context = None
    if given.certfile:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(given.certfile, given.keyfile)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(given.host, given.port, context))


if __name__ == "__main__":
    main()
