from typing import Annotated

import typer

from aigne_hub.bootstrap import initialise
from aigne_hub.cli.context import Invocation, command, single
from aigne_hub.cli.users import document
from aigne_hub.settings import redacted

app = single()


@command(app)
def init(
    cli: Invocation,
    owner_email: Annotated[
        str | None, typer.Option(metavar="E", help="The owner's e-mail.")
    ] = None,
) -> None:
    """Create the owner and the first API key, which is shown this once."""
    with cli.hub() as hub:
        made = initialise(hub, owner_email)
        owner = {name: value for name, value in document(made.owner).items() if name != "disabled"}
        result = {
            "owner": owner,
            "api_key": made.api_key,
            "database_url": redacted(hub.settings.database_url),
        }
        text = (
            f"owner     {made.owner.email}  {made.owner.did}\n"
            f"API key   {made.api_key}\n"
            f"database  {result['database_url']}\n\n"
            "The key is not shown again. Start the hub with: aigne-hub serve"
        )
    cli.output.document(result, text)
