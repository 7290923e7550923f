"""A hub that dies at chosen system calls, and what its books must say when it is back."""

import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text
from tests.books import Books, nano, price
from tests.conftest import RATES, config_for
from tests.faults import strace
from tests.faults.asked import PROMPT, Asked, Step, at_once
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.windows import Window
from aigne_hub.storage import schema
from aigne_hub.storage.engine import create_engine, reading
from aigne_hub.storage.keys import Limits
from aigne_hub.storage.verify import verify

WHOLE, LONG, SLOW = "gpt-4o-mini", "gpt-long:1500", "gpt-slow:4+long:60"
# The life of calls: opened, sent, delivered piece by piece and at once, with a hold that is
# extended, settled, refused, and several committed together.
SCENARIO = (
    Step(WHOLE),
    Step(LONG, stream=True),
    Step(WHOLE, poor=True),
    Step(SLOW, stream=True),
    Step(WHOLE, times=4),
)
CYCLES_MAX = 8
GRANTED = nano("1000000")
# Limits that nobody reaches: their counters are part of every commit.
LIMITS = Limits(credit_limit=GRANTED, window=Window.TOTAL, rpm=1_000_000, tpm=1_000_000_000)
# Credit that expires before the first call, which posts that.
SHORT_LIVED, SHORT_S = nano("5"), 0.02
# A first hold is below this: an input bound and one step. An extension makes it more.
FIRST_HOLD_MAX = nano("3")
DEATH_S = 10.0
QUIET_S = 0.4
_CLOSED = re.compile(r'"calls": [0-9]+, "event": "closed calls .*"timestamp": "([^"]+)"')

Calls = Mapping[str, dict[str, Any]]


class _Unmeasured(HubProcess):
    """A hub whose coverage nobody counts: it dies a hundred times, and each start would wait."""

    def environment(self) -> dict[str, str]:
        kept = super().environment()
        return {name: value for name, value in kept.items() if not name.startswith("COVERAGE_")}


class KillSite:
    """A hub with an upstream of its own. Each death is followed by a start and a full check.

    `stages` says in which stage of a call's life the deaths came; `recovery_s` how long each
    start took, from when it had the database open, to close what the dead had left.
    """

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        self.upstream = FakeUpstream()
        try:
            models, billing = [WHOLE, LONG, SLOW], {"enabled": True}
            config = config_for(self.upstream, models=models, billing=billing)
            self.hub = _Unmeasured(folder, config, database_url=database_url)
        except BaseException:
            self.upstream.stop()
            raise
        self.books = Books(self.hub)
        self.is_sqlite = database_url is None
        self.syscalls = strace.DURABLE if self.is_sqlite else strace.TALKING
        self.trace = folder / "trace.txt"
        self.customer = self.books.customer(GRANTED, limits=LIMITS)
        self.poor = self.books.customer()
        self.granted = GRANTED
        self.spent = 0
        self.stages: list[str] = []
        self.recovery_s: list[float] = []
        self._known: set[str] = set()

    def close(self) -> None:
        self.books.let_go()
        self.hub.stop()
        self.upstream.stop()

    # -- dying ---------------------------------------------------------------------------

    def rehearse(self, syscall: str, file: str | None) -> int:
        """Return how often one scenario makes a system call, on a file of the hub's."""
        with strace.attached(self._pid, self.trace, *self._watching(syscall, file)):
            asked = self.scenario(1)
            time.sleep(QUIET_S)
        assert all(each.whole for each in asked)
        self.check(asked)
        return strace.counted(self.trace).total()

    def kill_at(self, point: strace.Point) -> None:
        """Die at a point of the scenario, start again and check everything."""
        self.books.grant(self.customer, SHORT_LIVED, lasts_s=SHORT_S)
        self.books.let_go()
        options = [*self._watching(point.syscall, point.file), *point.killing()]
        with strace.attached(self._pid, self.trace, *options):
            asked = self.scenario(CYCLES_MAX)
            self._await_death()
        self.check_remains()
        self.start()
        self.stages.append(self.check(asked))

    def lose_session_at(self, point: strace.Point, number: signal.Signals) -> None:
        """Let the database end the journal's session at a point; the hub itself carries on."""
        (session,) = self.books.read(_journal_sessions)
        self.books.let_go()
        options = [*strace.watching(point.syscall), *point.killing(number)]
        with strace.attached(session, self.trace, *options):
            asked = self.scenario(CYCLES_MAX, lambda: not strace.is_alive(session))
        assert not strace.is_alive(session)
        assert all(each.whole for each in asked)
        self.await_ready()
        self.check(asked)
        asked = self.scenario(1)
        assert {each.status for each in asked} == {200, 402}
        self.check(asked)

    def await_ready(self) -> None:
        deadline = time.monotonic() + DEATH_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.hub.address}/health/ready", timeout=5):
                    return
            except urllib.error.HTTPError as error:
                error.close()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill_in_stream(self) -> list[Asked]:
        """Die in the middle of a stream, at no particular point, and stay dead."""
        self.upstream.reset()
        self.books.let_go()
        asked = Asked(Step(SLOW, stream=True))
        sender = threading.Thread(target=at_once, args=([asked], self.hub.port, self.customer.key))
        sender.start()
        deadline = time.monotonic() + DEATH_S
        while len(asked.pieces) < 8:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        self.hub.kill()
        sender.join()
        return [asked]

    def start_until(self, point: strace.Point | None) -> Counter[str] | None:
        """Start, at most until a point is reached; nothing runs afterwards.

        Returns the system calls of a start that became ready, None when it died.
        """
        self.books.let_go()
        with self._traced(self.hub.command(), point) as tracer:
            assert tracer.stdout is not None
            ready = tracer.stdout.readline().startswith(b"ready ")
            if ready:
                strace.kill_child(tracer.pid)
            tracer.wait(DEATH_S)
        return strace.counted(self.trace) if ready else None

    def grant_until(self, amount: str, point: strace.Point | None) -> Counter[str] | None:
        """Grant credit by command, at most until a point is reached; checks what came of it.

        Returns the system calls of a command that ended, None when it died.
        """
        command = [sys.executable, "-m", "aigne_hub", "credits", "grant", "--user"]
        command += [self.customer.user.email, "--amount", amount, "--json"]
        command += ["--data-dir", str(self.hub.folder)]
        before = self.customer.balance
        with self._traced(command, point) as tracer:
            said, _ = tracer.communicate(timeout=DEATH_S)
        self.await_quiet()
        granted = self.customer.balance - before
        assert granted in {0, nano(amount)}
        assert granted or not said
        self.granted += granted
        assert self.books.read(_violations) == []
        return None if tracer.returncode else strace.counted(self.trace)

    def start(self) -> None:
        """Start for good, and note how long it took to close what the dead left."""
        said = len(self.hub.log())
        self.hub.start()
        closed = _CLOSED.findall(self.hub.log()[said:])
        if closed:
            ended = datetime.fromisoformat(closed[-1]).timestamp()
            self.recovery_s.append(ended - self.books.read(_process_started_us) / 1_000_000)

    def _traced(self, command: list[str], point: strace.Point | None) -> subprocess.Popen[bytes]:
        killing = () if point is None else point.killing()
        options = [*strace.watching(*self.syscalls), *killing]
        return self.hub.spawn(strace.started(command, self.trace, *options))

    def _watching(self, syscall: str, file: str | None) -> list[str]:
        return strace.watching(syscall, path=file and str(self.hub.folder / file))

    @property
    def _pid(self) -> int:
        assert self.hub.process is not None
        return self.hub.process.pid

    def _await_death(self) -> None:
        assert self.hub.process is not None
        try:
            code = self.hub.process.wait(DEATH_S)
        except subprocess.TimeoutExpired:
            raise AssertionError("the scenario never came to this point") from None
        assert code == -9
        self.hub.stop()

    # -- calling -------------------------------------------------------------------------

    def scenario(self, cycles: int, enough: Callable[[], bool] = lambda: False) -> list[Asked]:
        """Make calls until one is not answered, or it is enough, at most for `cycles` rounds."""
        self.upstream.reset()
        asked: list[Asked] = []
        for step in SCENARIO * cycles:
            batch = [Asked(step) for _ in range(step.times)]
            asked += batch
            at_once(batch, self.hub.port, (self.poor if step.poor else self.customer).key)
            if enough() or not all(each.whole for each in batch):
                break
        return asked

    # -- checking ------------------------------------------------------------------------

    def check_remains(self) -> None:
        """Assert that the ledger is in order as the dead process left it.

        A SQLite file is copied, so that the next start meets it as it was left.
        """
        if not self.is_sqlite:
            assert self.books.read(_violations) == []
            return
        image = self.hub.folder / "image"
        shutil.rmtree(image, ignore_errors=True)
        image.mkdir()
        for name in ("hub.db", "hub.db-wal"):
            if (self.hub.folder / name).exists():
                shutil.copy(self.hub.folder / name, image)
        database = create_engine(f"sqlite:///{image / 'hub.db'}")
        with reading(database) as view:
            assert _violations(view) == []
        database.dispose()

    def await_quiet(self) -> None:
        """Wait until PostgreSQL has ended what a process that died began there."""
        deadline = time.monotonic() + DEATH_S
        while not self.is_sqlite and self.books.read(_active_sessions):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def check(self, asked: Sequence[Asked]) -> str:
        """Assert that the books say what the callers saw; return the stage of the last call."""
        new = {
            call["id"]: call
            for customer in (self.customer, self.poor)
            for call in customer.calls()
            if call["id"] not in self._known
        }
        self._known |= new.keys()
        assert self.books.read(_violations) == []
        assert len(new) <= len(asked)
        records = self.upstream.log()
        assert len(records) <= sum(call["outcome"] != "rejected" for call in new.values())
        words = max((record["chunks_sent"] for record in records if record["stream"]), default=0)
        for call in new.values():
            _check_charge(call, words)
        for each in asked:
            _check_seen(each, new)
        self.spent += sum(nano(call["credits"]) for call in new.values())
        left = self.granted - self.spent + self.books.read(_lapsed)
        assert (self.customer.balance, self.customer.held) == (left, 0)
        assert (self.poor.balance, self.poor.held) == (0, 0)
        if self.spent:
            assert self.books.read(_spending_counter) == (self.spent, 0)
        return _stage(asked, new)


def _violations(view: Any) -> list[Any]:
    return [check for check in verify(view) if not check.ok]


def _journal_sessions(view: Any) -> list[int]:
    query = """SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'aigne-hub 0%'"""
    return list(view.execute(text(query)).scalars())


def _active_sessions(view: Any) -> int:
    query = """SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
        AND state <> 'idle' AND pid <> pg_backend_pid()"""
    return int(view.execute(text(query)).scalar_one())


def _lapsed(view: Any) -> int:
    """Return the credit whose expiry no call has posted yet."""
    lot = schema.credit_grant.c
    query = select(func.coalesce(func.sum(lot.remaining), 0)).where(lot.expires_us.is_not(None))
    return int(view.execute(query).scalar_one())


def _process_started_us(view: Any) -> int:
    return int(view.execute(select(func.max(schema.process.c.started_us))).scalar_one())


def _spending_counter(view: Any) -> tuple[int, int]:
    """Return what the customer's key has used and holds of its credit limit."""
    counter = schema.limit_counter.c
    spending = counter.id.like("key:%/credits/%")
    used, held = view.execute(select(counter.used, counter.held).where(spending)).one()
    return used, held


def _check_charge(call: dict[str, Any], words: int) -> None:
    """Assert that a call is closed and costs what its own columns say."""
    assert call["status"] != "processing", call
    used = call["outcome"] == "completed" or call["output_tokens"] > 0
    assert nano(call["credits"]) == (price(call, RATES) if used else 0), call
    if call["outcome"] == "interrupted":
        produced = sum(len(f"w{number} ") for number in range(words))
        assert call["output_tokens"] <= -(-produced // 4), call
        assert call["input_tokens"] in {0, -(-len(PROMPT) // 4)}, call
    else:
        assert call["outcome"] == ("rejected" if call["error"] else "completed"), call


def _check_seen(asked: Asked, new: Calls) -> None:
    """Assert that what a caller got is on record and charged."""
    if asked.call_id is None or (asked.status == 503 and asked.call_id not in new):
        return
    call = new[asked.call_id]
    if asked.status == 503:
        assert (call["status"], call["credits"]) == ("failed", "0"), call
    elif asked.whole:
        assert call["outcome"] == ("rejected" if asked.step.poor else "completed"), call
        assert (asked.status, call["credits"] == "0") == (
            (402, True) if asked.step.poor else (200, False)
        )
    elif call["outcome"] == "interrupted":
        charged = 4 * call["output_tokens"]
        assert 2 * charged >= len(asked.text), (call, asked.text)
        assert charged >= len(asked.old_text), (call, asked.old_text)


def _stage(asked: Sequence[Asked], new: Calls) -> str:
    """Name what the call under way had reached in the books when the hub died."""
    last = asked[-1]
    kind = "refusal" if last.step.poor else "stream" if last.step.stream else "answer"
    if last.step.times > 1:
        return "batch"
    if last.whole:
        return "between calls"
    latest = max(new, default=None)
    if latest is None or len(new) < len(asked):
        return f"{kind}: not opened"
    call = new[latest]
    if call["outcome"] in {"completed", "rejected"}:
        return f"{kind}: closed, not yet answered"
    if last.step.stream and nano(call["held"]) > FIRST_HOLD_MAX:
        return f"{kind}: hold extended"
    return f"{kind}: {'delivering' if call['output_tokens'] else 'held'}"
