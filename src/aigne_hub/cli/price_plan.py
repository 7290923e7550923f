"""How a plan of new prices is printed: the difference it makes."""

from typing import Any

from aigne_hub.catalog.price_import import Change, Plan
from aigne_hub.cli.output import Output
from aigne_hub.domain.price_text import format_amounts

COLUMNS = ("change", "model", "rates", "before", "notes")


def show(output: Output, found: Plan, *, dry_run: bool, missing: str = "unlisted") -> None:
    """Print a plan. `missing` names the models that it has no prices for."""
    document: dict[str, Any] = {
        "source": found.source,
        "dry_run": dry_run,
        "created": [_change(change) for change in found.created],
        "updated": [_change(change) for change in found.updated],
        "unchanged": len(found.unchanged),
        "declared": [change.priced.offered.ref for change in found.declared],
        "skipped": [
            {"model": priced.offered.ref, "reason": reason} for priced, reason in found.skipped
        ],
        missing: [priced.offered.ref for priced in found.unlisted],
    }
    if output.as_json:
        output.document(document)
        return
    output.rows(
        [
            {"change": change, **entry}
            for change in ("created", "updated")
            for entry in document[change]
        ],
        COLUMNS,
    )
    kept = [f"{len(found.unchanged)} unchanged"]
    kept += [f"{len(found.declared)} priced by hub.yaml"] if found.declared else []
    kept += [f"{len(found.unlisted)} {missing.replace('_', ' ')}"] if found.unlisted else []
    output.note(f"{found.source}: {', '.join(kept)}" + (" (dry run)" if dry_run else ""))
    for priced, reason in found.skipped:
        output.note(f"{priced.offered.ref} {reason}")


def _change(change: Change) -> dict[str, Any]:
    before = change.priced.rates
    return {
        "model": change.priced.offered.ref,
        "listed_as": change.listed.name,
        "rates": format_amounts(change.rates),
        "cost": format_amounts(change.cost),
        "before": format_amounts(before) if before else None,
        "notes": list(change.listed.notes),
    }
