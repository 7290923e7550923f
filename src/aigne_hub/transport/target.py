from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from aigne_hub.transport.origin import Origin
from aigne_hub.transport.request import request_head

URL_MAX = 2048


@dataclass(frozen=True, slots=True)
class Target:
    """A whole URL that is sent to: where, and the path with its query."""

    origin: Origin
    path: str

    @classmethod
    def parse(cls, url: str, *, trusted: bool = False) -> Self:
        """Return the target of a URL such as "https://example.com/hooks?for=hub".

        Raises ValueError, without repeating the URL, for anything but an http or https URL
        without user name, password and fragment.
        """
        if len(url) > URL_MAX:
            raise ValueError(f"a URL is at most {URL_MAX} characters")
        if "#" in url:
            raise ValueError("the URL has a fragment, which is not sent")
        address, mark, query = url.partition("?")
        try:
            origin = Origin.parse(address, trusted=trusted)
        except ValueError as error:
            raise ValueError(str(error).replace("base URL", "URL")) from None
        path = f"{urlsplit(address).path or '/'}{mark}{query}"
        where = Origin(origin.scheme, origin.host, origin.port, trusted=trusted)
        try:
            request_head("POST", where, path)
        except ValueError:
            raise ValueError("the URL's query has a character that must be encoded") from None
        return cls(where, path)
