import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from aigne_hub.cli.context import DatabaseUrl, DataDir, single
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
    raise typer.Exit(run_server(settings, os.environ, announce=_announce))


def _announce(line: str) -> None:
    """Print at once: whoever started the hub waits for the line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
