"""`aigne-hub`, the command line: administration, and starting the server.

Exit codes: 0 done, 1 a check failed or the machine did not do its part, 2 bad arguments or
configuration, 3 already exists or conflict, 4 not found.
"""

import gc
import os
import sys
from collections.abc import Sequence

import typer
from typer.main import get_command

from aigne_hub.cli.app import NAME, app

# Imports make many objects and hardly any garbage; by default they are looked through time and
# again, which is a tenth of a start.
GC_THRESHOLD = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors are printed, never raised."""
    gc.set_threshold(GC_THRESHOLD)
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        # Outside standalone mode a command's exit code comes back as the value.
        code = get_command(app).main(given, prog_name=NAME, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
        return 1
    except (Exception, typer.Abort) as error:  # noqa: BLE001 - the last place that can explain it
        from aigne_hub.cli.failures import report  # noqa: PLC0415 - it knows every layer's errors

        return report(error, as_json="--json" in given, environ=os.environ)
    return code if isinstance(code, int) else 0


def _abandon_stdout() -> None:
    """Point standard output at nothing, or Python complains about the pipe again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
