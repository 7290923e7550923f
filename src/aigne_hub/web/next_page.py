"""Where a browser goes after signing in: a path of this hub, never an address."""

import re
from typing import Final

from fastapi import Request

from aigne_hub.web.rendering import root_of
from aigne_hub.web.session import NEXT_CHARS_MAX

HOME: Final = "/account"
# The characters of a path and a query (RFC 3986, 3.3 and 3.4). A second slash or a backslash
# would begin a host in some browser's eyes, a dot segment would climb out of the mount point.
_OWN = re.compile(
    r"/(?![/\\])[A-Za-z0-9._~%!$&'()*+,;=:@/-]*(?:\?[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*)?"
)
_CLIMBS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def own_path(text: str) -> str:
    """Return a path and query of this hub as it is, HOME for anything else."""
    path = text.partition("?")[0]
    if len(text) > NEXT_CHARS_MAX or not _OWN.fullmatch(text):
        return HOME
    if "//" in path or _CLIMBS.search(path):
        return HOME
    return text


def target(request: Request, path: str) -> str:
    """Return the redirect from this page to a path that `own_path` let through."""
    return root_of(request) + path[1:]
