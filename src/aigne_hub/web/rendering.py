"""Pages from templates. Links are relative, so a page works below any mount point."""

from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aigne_hub import __version__
from aigne_hub.web.operations import operations_of

_TEMPLATES = Path(__file__).parent / "templates"


class Renderer:
    """Compiles each template once. Every value is escaped."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """Return a page; templates also get `root`, `public_url` and `version`.

        `person` is the session of who is signed in, on pages that know.
        """
        html = self._environment.get_template(template).render(
            root=root_of(request),
            public_url=operations_of(request).public_url(),
            version=__version__,
            **{"person": None, **values},
        )
        kept = "no-store" if values.get("person") else "no-cache"
        return HTMLResponse(html, status, {"cache-control": kept, **(headers or {})})


def renderer_of(request: Request) -> Renderer:
    renderer: Renderer = request.app.state.renderer
    return renderer


def root_of(request: Request) -> str:
    """Return the way from a page to `/`: an escaped slash is no step of it."""
    raw_path: bytes = request.scope["raw_path"]
    return "../" * (raw_path.count(b"/") - 1) or "./"
