from aigne_hub import __version__
from aigne_hub.cli.address import public_url
from aigne_hub.cli.context import Invocation, command, single
from aigne_hub.cli.output import write_json
from aigne_hub.web.openapi import openapi_document

app = single()


@command(app)
def openapi(cli: Invocation) -> None:
    """Print the OpenAPI 3.1 document, data plane included."""
    write_json(openapi_document(public_url(cli.settings(), cli.environ), __version__))
