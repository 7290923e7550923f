"""Why a command failed, as people and programs are told: an exit code, a cause, a remedy."""

import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass

import typer
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from aigne_hub.cli.output import printable, write_json
from aigne_hub.crypto.master_key import KeyFileRefused
from aigne_hub.domain.errors import Conflict, HubError, InvalidRequest, NotFound
from aigne_hub.problems import ConfigError
from aigne_hub.settings import redacted
from aigne_hub.storage.engine import StorageError

FAILED = 1
BAD_ARGUMENTS = 2
CONFLICT = 3
NOT_FOUND = 4

_EXIT_CODES: Mapping[type[HubError], int] = {
    InvalidRequest: BAD_ARGUMENTS,
    Conflict: CONFLICT,
    NotFound: NOT_FOUND,
}
_REMEDIES: Mapping[int, str] = {
    FAILED: "aigne-hub doctor says what is wrong",
    BAD_ARGUMENTS: "--help after the command says what it takes",
    CONFLICT: "the list command shows what exists; choose another",
    NOT_FOUND: "the list command shows what exists",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` is one of the hub's stable error codes, or names a layer."""

    exit_code: int
    code: str
    cause: str
    fix: str


def report(error: BaseException, *, as_json: bool, environ: Mapping[str, str]) -> int:
    """Print why a command failed and return its exit code."""
    failure = explain(error)
    if failure.code == "internal_error" and environ.get("AIGNE_HUB_LOG_LEVEL") == "debug":
        traceback.print_exception(error)
    cause = "\n".join(printable(line) for line in failure.cause.splitlines())
    sys.stderr.write(f"error: {cause}\nfix: {printable(failure.fix)}\n")
    if as_json:
        write_json({"ok": False, "error": {"code": failure.code, "message": failure.cause}})
    return failure.exit_code


def explain(error: BaseException) -> Failure:
    """Return what to say about an error. Never repeats a secret."""
    if isinstance(error, ConfigError):
        cause = f"the configuration cannot be used\n{error}"
        fix = "correct what is named; aigne-hub config check FILE tries a file"
        return Failure(BAD_ARGUMENTS, "invalid_configuration", cause, fix)
    if isinstance(error, HubError):
        exit_code = next(
            (code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), FAILED
        )
        return _split(exit_code, error.code, error.message)
    if isinstance(error, StorageError | KeyFileRefused):
        return _split(BAD_ARGUMENTS, "storage_error", str(error))
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "aigne-hub"
        fix = f"{path} --help says what it takes"
        return Failure(BAD_ARGUMENTS, "invalid_request", error.format_message(), fix)
    if isinstance(error, typer.Abort):
        return Failure(FAILED, "aborted", "stopped", "run it again")
    return _machine(error)


def _machine(error: BaseException) -> Failure:
    if isinstance(error, DBAPIError):
        # The driver's words; SQLAlchemy's own would add the statement and its parameters.
        first = redacted(str(error.orig)).partition("\n")[0]
        fix = "see that the database is there, reachable and writable: aigne-hub doctor"
        return Failure(FAILED, "storage_error", f"the database failed: {first}", fix)
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename}:" if error.filename else ""
        fix = "see that it exists, may be written and has space: aigne-hub doctor"
        return Failure(FAILED, "system_error", f"{where} {error.strerror}".strip(), fix)
    kind = "the database layer: " if isinstance(error, SQLAlchemyError) else ""
    cause = f"an unexpected fault in {kind}{type(error).__name__}"
    fix = "run it again with AIGNE_HUB_LOG_LEVEL=debug for the details, and report them"
    return Failure(FAILED, "internal_error", cause, fix)


def _split(exit_code: int, code: str, message: str) -> Failure:
    """Take the first sentence as the cause and what follows as the remedy."""
    cause, _, fix = message.partition(". ")
    return Failure(exit_code, code, cause.rstrip("."), fix or _REMEDIES[exit_code])
