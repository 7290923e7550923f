"""Other gateways, measured where they are installed (peers/README.md); none keeps records here."""

import json
import os
import shutil
from pathlib import Path

from bench.installed import Installed, of_environment, of_node_modules
from bench.load import Request
from bench.loads import ALL, Load, Route
from bench.process import HOST, Process, free_port
from bench.targets import JSON_HEADERS, UPSTREAM_KEY, Target, UnavailableError
from bench.upstreams import Upstreams

HERE = Path(__file__).parent
PEERS = Path(os.environ.get("AIGNE_BENCH_PEERS", HERE / "peers"))
# What each has to know: the models of every load that peers are measured with.
MODELS = tuple(dict.fromkeys((load.route, load.model) for load in ALL if load.peers))
# It does not start without a key of its own.
LITELLM_KEY = "sk-4f1d8c0a9b7e46d2a35c6e8f0b1d2c3a"
START_S = 90.0  # LiteLLM imports for a long time on a busy machine


class Rival(Target):
    """A peer with one provider for unary calls and one for streams."""

    ours = False
    port: int
    installed: str  # what must exist below PEERS

    def __init__(self, upstreams: Upstreams) -> None:
        super().__init__(upstreams)
        self.program = PEERS / self.installed
        if not self.program.exists():
            raise UnavailableError(f"{self.program} is missing; see bench/peers/README.md")

    def takes(self, load: Load) -> bool:
        return load.peers

    def request(self, load: Load) -> Request:
        headers = {**JSON_HEADERS, **self.headers(load)}
        return Request(self.port, self.path(load), headers, load.body(self.model(load)))

    def headers(self, _: Load) -> dict[str, str]:
        return {"authorization": f"Bearer {UPSTREAM_KEY}"}

    def path(self, load: Load) -> str:
        return load.path

    def model(self, load: Load) -> str:
        return named(load.route, load.model)

    def _listen(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.process = Process(self.name, command, folder, environment=environment)
        self.process.port(self.port, START_S)
        self._started(self.process)


class TensorZero(Rival):
    """Rust, from its PyPI wheel; observability off, no keys, no database.

    It trusts the authorities it was built with alone, so it is not measured over TLS.
    """

    name = "tensorzero"
    installed = "tensorzero/bin/python"

    def takes(self, load: Load) -> bool:
        return super().takes(load) and not load.route.tls

    def installed_size(self) -> Installed:
        return of_environment(self.program)

    def start(self, folder: Path) -> None:
        configuration = folder / "tensorzero.toml"
        configuration.write_text(
            "[gateway]\nobservability.enabled = false\n"
            + "".join(self._provider(route, model) for route, model in MODELS)
        )
        command = [str(self.program), str(HERE / "tensorzero_gateway.py"), str(configuration)]
        environment = {"OPENAI_API_KEY": UPSTREAM_KEY}
        self.process = Process(self.name, command, folder, environment=environment)
        self.port = int(self.process.line("port ", START_S))
        self._started(self.process)

    def path(self, load: Load) -> str:
        return load.path.replace("/v1/", "/openai/v1/")

    def model(self, load: Load) -> str:
        return f"tensorzero::model_name::{super().model(load)}"

    def _provider(self, route: Route, model: str) -> str:
        name = named(route, model)
        return (
            f'[models."{name}"]\nrouting = ["upstream"]\n'
            f'[models."{name}".providers.upstream]\ntype = "openai"\n'
            f'model_name = "{model}"\napi_base = "{self.upstreams.base_url(route)}"\n'
        )


class Portkey(Rival):
    """Node, one process, stateless; a preloaded script keeps it on the loopback address."""

    name = "portkey"
    installed = "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"

    def installed_size(self) -> Installed:
        return of_node_modules(PEERS / "portkey" / "node_modules")

    def __init__(self, upstreams: Upstreams) -> None:
        super().__init__(upstreams)
        self._node = shutil.which("node")
        if self._node is None:
            raise UnavailableError("node is missing")

    def start(self, folder: Path) -> None:
        assert self._node is not None
        self.port = free_port()
        command = [self._node, "--require", str(HERE / "loopback.cjs"), str(self.program)]
        command += [f"--port={self.port}", "--headless"]
        # Its guard refuses providers on loopback unless they are named.
        environment = {
            "TRUSTED_CUSTOM_HOSTS": f"{HOST},localhost",
            "NODE_ENV": "production",
            "NODE_EXTRA_CA_CERTS": str(self.upstreams.trust),
        }
        self._listen(command, folder, environment)

    def model(self, load: Load) -> str:
        return load.model

    def headers(self, load: Load) -> dict[str, str]:
        return {
            **super().headers(load),
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": self.upstreams.base_url(load.route),
        }


class LiteLLM(Rival):
    """Python, one worker, its master key checked, no database and so no spend tracking."""

    name = "litellm"
    installed = "litellm/bin/litellm"

    def installed_size(self) -> Installed:
        return of_environment(self.program)

    def start(self, folder: Path) -> None:
        self.port = free_port()
        models = [
            {
                "model_name": named(route, model),
                "litellm_params": {
                    "model": f"openai/{model}",
                    "api_base": self.upstreams.base_url(route),
                    "api_key": UPSTREAM_KEY,
                },
            }
            for route, model in MODELS
        ]
        configuration = folder / "litellm.yaml"  # JSON is YAML
        configuration.write_text(json.dumps({"model_list": models}))
        command = [str(self.program), "--config", str(configuration)]
        command += ["--host", HOST, "--port", str(self.port), "--num_workers", "1"]
        environment = {
            "LITELLM_MASTER_KEY": LITELLM_KEY,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            "LITELLM_LOG": "ERROR",
            "SSL_CERT_FILE": str(self.upstreams.trust),
        }
        self._listen(command, folder, environment)

    def headers(self, _: Load) -> dict[str, str]:
        return {"authorization": f"Bearer {LITELLM_KEY}"}


def named(route: Route, model: str) -> str:
    """Return what a peer calls a model, whose upstream follows from its name."""
    return f"{route}-{model}"


RIVALS: tuple[type[Rival], ...] = (TensorZero, Portkey, LiteLLM)
