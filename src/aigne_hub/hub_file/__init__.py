"""hub.yaml: what may be declared in it, and how its text becomes that."""

from aigne_hub.hub_file.declared import (
    DEMO,
    DEMO_MODELS,
    DeclaredAlias,
    DeclaredCredential,
    DeclaredModel,
    DeclaredProvider,
    HubFile,
)
from aigne_hub.hub_file.document import DEPTH_MAX, PROBLEMS_MAX, path_of
from aigne_hub.hub_file.loading import (
    FILE_BYTES_MAX,
    check_hub_file,
    hub_file_schema,
    load_hub_file,
)
from aigne_hub.hub_file.prices import DeclaredPrices

__all__ = [
    "DEMO",
    "DEMO_MODELS",
    "DEPTH_MAX",
    "FILE_BYTES_MAX",
    "PROBLEMS_MAX",
    "DeclaredAlias",
    "DeclaredCredential",
    "DeclaredModel",
    "DeclaredPrices",
    "DeclaredProvider",
    "HubFile",
    "check_hub_file",
    "hub_file_schema",
    "load_hub_file",
    "path_of",
]
