"""One serving process: its event loop, its data plane, its periodic work."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import uvicorn
import uvloop
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from aigne_hub.at_first_use import at_first_use
from aigne_hub.bootstrap import (
    LOCAL_HOSTS,
    Backing,
    Hub,
    apply_declarations,
    build_plane,
    open_backing,
    open_client,
    open_hub,
    open_outbox,
    plane_settings,
    read_snapshot,
)
from aigne_hub.gateway.client_connection import ClientConnection
from aigne_hub.gateway.edge import Edge, EdgeLimits
from aigne_hub.gateway.routes import routes
from aigne_hub.hub_file import load_hub_file
from aigne_hub.logs import configure_logging, get_logger
from aigne_hub.problems import ConfigError
from aigne_hub.server.acceptor import Acceptor, Shares
from aigne_hub.server.duties import Duties
from aigne_hub.server.inspector import Inspector
from aigne_hub.server.kit import account_of, courier_of
from aigne_hub.server.operations import ProcessOperations
from aigne_hub.server.postman import Postman, connect
from aigne_hub.server.price_watch import PriceWatch
from aigne_hub.settings import Settings
from aigne_hub.storage import recovery
from aigne_hub.telemetry import CallLog, Counters
from aigne_hub.usage.cleanup import cleanup_stale_processing_calls
from aigne_hub.web.on_demand import OnDemand

# Beyond the drain limit, what is left has this long to settle.
SETTLE_S = 5
BACKLOG = 2048
# A call makes a few hundred objects and no cycles: the defaults would scan for nothing.
GC_THRESHOLDS = (50_000, 20, 50)
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker takes connections: a listener, which it may share as the `index`-th."""

    listener: socket.socket
    shares: Shares | None = None
    index: int = 0


class _Server(uvicorn.Server):
    """uvicorn's server with our signals, our turns at a shared listener and a drain that ends."""

    def __init__(
        self, config: uvicorn.Config, edge: Edge, place: Place, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._edge = edge
        self._place = place
        self._acceptor: Acceptor | None = None
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        place = self._place
        if place.shares is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self._acceptor = Acceptor(
                place.listener,
                self._protocol,
                place.shares,
                place.index,
                lambda: len(self._edge.connections),
            )
            self.servers = [self._acceptor]  # type: ignore[list-item] # it has what is called
        self._ready()

    def _protocol(self) -> asyncio.Protocol:
        return ClientConnection(
            self._edge,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    async def on_tick(self, counter: int) -> bool:
        if self._acceptor is not None:
            self._acceptor.show()
        ends = await super().on_tick(counter)
        self._edge.date(self.server_state.default_headers)
        return ends

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        patience = self.config.timeout_graceful_shutdown
        assert patience is not None
        timer = asyncio.get_running_loop().call_later(patience - SETTLE_S, self._edge.interrupt)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()


class Worker:
    """Everything one process runs."""

    def __init__(self, hub: Hub, environ: Mapping[str, str]) -> None:
        self.hub = hub
        self.environ = environ
        self.process_id = hub.ids()
        self.counters = Counters()
        self.log = get_logger()
        self._reloads: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    async def run(self, place: Place, ready: Callable[[], None]) -> None:
        """Serve at `place` until SIGTERM or SIGINT; `ready` is called once it accepts."""
        hub = self.hub
        backing = open_backing(hub, self.process_id)
        self.journal = journal = backing.journal
        await journal.reach()
        self._register()
        journal.metering = account_of(hub) is not None
        journal.start()
        client = open_client(hub)
        self.plane = build_plane(hub, journal, client, self.counters, read_snapshot(hub))
        call_log = CallLog(_stderr if hub.settings.log_level in {"debug", "info"} else None)
        self.plane.observe(call_log)
        orphans = recovery.Orphans(
            hub.engine,
            backing.liveness,
            self.process_id,
            open_here=lambda: self.plane.tracker.open,
            now_us=hub.clock.now_us,
        )
        async with backing.liveness.alone("recovery"):
            closed = await cleanup_stale_processing_calls(orphans, journal, hub.clock)
        if closed:
            self.log.info("closed calls of dead processes", calls=closed)
        edge = Edge(routes(self.plane), _limits(hub))
        postman = _postman(hub, backing)
        inspector = Inspector(hub, self.process_id)
        courier = courier_of(lambda: self.hub, backing, self._sell_at)
        operations = ProcessOperations(
            lambda: self.hub,
            plane=self.plane,
            journal=journal,
            folder=backing.folder,
            client=client,
            counters=self.counters,
            edge=edge,
            call_log=call_log,
            postman=postman,
            inspector=inspector,
            courier=courier,
        )
        server = _Server(self._config(edge, operations), edge, place, ready)
        self._handle_signals(server)
        duties = Duties(
            self,
            edge=edge,
            backing=backing,
            orphans=orphans,
            call_log=call_log,
            post=postman,
            inspect=inspector,
            courier=courier,
            prices=PriceWatch(lambda: self.hub, self.process_id),
        )
        duties.start()
        _settle_memory()
        await server.serve([place.listener])
        await duties.stop()
        await postman.close()
        await courier.close()
        await client.close()
        await journal.close()
        try:
            recovery.deregister(hub.engine, self.process_id, hub.clock.now_us())
        except SQLAlchemyError as error:
            self.log.warning("the database does not know that this process ended", error=str(error))
        backing.liveness.release()
        self._ignore_signals()

    def _register(self) -> None:
        recovery.register(
            self.hub.engine,
            self.process_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            now_us=self.hub.clock.now_us(),
        )

    async def reload(self) -> None:
        """Read hub.yaml again (SIGHUP); a file with mistakes changes nothing."""
        async with self._reloading:
            try:
                self.hub = await asyncio.to_thread(self._reread)
            except ConfigError as error:
                self.log.warning("hub.yaml was not reloaded", problems=str(error))
            except Exception:
                self.log.exception("hub.yaml was not reloaded")
            else:
                self.plane.use(plane_settings(self.hub))
                self.journal.metering = account_of(self.hub) is not None
                self.log.info("reloaded hub.yaml")

    def _sell_at(self, link: str) -> None:
        """Tell callers to buy where Payment Kit sells, unless hub.yaml says another address."""
        if self.hub.hub_file.billing.payment_link is None:
            self.plane.use(replace(self.plane.settings, payment_link=link))

    def _reread(self) -> Hub:
        hub = self.hub.with_file(load_hub_file(self.hub.settings.config, self.environ))
        apply_declarations(hub)
        return hub

    def _config(self, edge: Edge, operations: ProcessOperations) -> uvicorn.Config:
        loop = asyncio.get_running_loop()

        @at_first_use
        def control_plane() -> ASGIApp:
            from aigne_hub.server.backend import ProcessBackend  # noqa: PLC0415 - at first use
            from aigne_hub.web.app import create_app  # noqa: PLC0415 - as above

            return create_app(operations, ProcessBackend(lambda: self.hub, self.plane, loop))

        return uvicorn.Config(
            OnDemand(operations, control_plane),
            http=partial(ClientConnection, edge),  # type: ignore[arg-type] # a factory serves as well as a class
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=self.hub.settings.drain_s + SETTLE_S,
        )

    def _handle_signals(self, server: uvicorn.Server) -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            server.should_exit = True

        def reload() -> None:
            task = loop.create_task(self.reload())
            self._reloads.add(task)
            task.add_done_callback(self._reloads.discard)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, reload)

    def _ignore_signals(self) -> None:
        """Let no late signal turn a clean exit, whose loop listens no more, into a death."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


def run_worker(
    settings: Settings,
    environ: Mapping[str, str],
    place: Place,
    ready: Callable[[], None],
) -> None:
    """Run one worker in this process until it is told to stop."""
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    configure_logging(settings.log_level, as_json=as_json)
    hub = open_hub(settings, environ)
    uvloop.run(Worker(hub, environ).run(place, ready))


def _postman(hub: Hub, backing: Backing) -> Postman:
    return Postman(
        open_outbox(hub),
        hub.clock,
        connect=lambda: connect(proxy=hub.settings.upstream_proxy, direct=LOCAL_HOSTS),
        alone=lambda: backing.liveness.alone("webhooks", wait=False),
    )


def _settle_memory() -> None:
    """Keep what lives for ever out of the collector's way, and let it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _limits(hub: Hub) -> EdgeLimits:
    """One setting says how patient the hub is with clients; the other waits follow from it."""
    limits = hub.hub_file.limits
    patience = limits.header_timeout_s
    return EdgeLimits(
        head_s=patience,
        idle_s=2 * patience,
        keep_alive_s=5 * patience,
        body_bytes=limits.request_body_mib * _MIB,
    )


def _stderr(lines: bytes) -> None:
    os.write(2, lines)
