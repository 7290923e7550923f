from aigne_hub import __version__
from aigne_hub.cli.context import Invocation, command, single
from aigne_hub.cli.output import write_json
from aigne_hub.hub_file import load_hub_file
from aigne_hub.hub_address import public_url
from aigne_hub.web.openapi import openapi_document

app = single()
