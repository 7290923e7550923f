import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from aigne_hub.cli.context import DatabaseUrl, DataDir, single
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.server import CannotListen, Started
from aigne_hub.server import serve as run_server
from aigne_hub.settings import load_settings

app = single()


@app.command()
def serve(
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    host: Annotated[str | None, typer.Option(metavar="H", help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="P", help="Port to listen on; 0 takes a free one.")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Serving processes.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="hub.yaml.")] = None,
    welcome: Annotated[bool, typer.Option(help="Also print how to make the first call.")] = False,
) -> None:
    """Run the hub until it is stopped; a new data directory is initialised first."""
    settings = load_settings(
        os.environ,
        data_dir=data_dir,
        database_url=database_url,
        config=config,
        host=host,
        port=port,
        workers=workers,
    )

    def announce(started: Started) -> None:
        """Print at once: whoever started the hub waits for the line."""
        lines = [f"ready {started.address}", *(welcomes(started) if welcome else ())]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    try:
        code = run_server(settings, os.environ, announce=announce)
    except CannotListen as error:
        raise InvalidRequest(str(error)) from None
    raise typer.Exit(code)


def welcomes(started: Started) -> list[str]:
    """Return what a person needs next; a key is shown only when it was just made."""
    address = started.address
    if started.first is None:
        return [
            f"Address:   {address}",
            f"A key:     {started.key_command}",
            f"curl {address}/health/ready",
        ]
    body = '{"model": "demo/echo", "messages": [{"role": "user", "content": "hello"}]}'
    return [
        f"Address:   {address}",
        f"Set-up:    {address}/setup/{started.first.setup_token}  (works once)",
        f"API key:   {started.first.api_key}",
        f"Base URL:  {address}/v1",
        (
            f"curl {address}/v1/chat/completions "
            f"-H 'Authorization: Bearer {started.first.api_key}' "
            f"-H 'Content-Type: application/json' -d '{body}'"
        ),
    ]
