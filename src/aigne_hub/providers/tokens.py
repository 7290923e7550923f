"""Access tokens at hand: fetched when there is none, renewed beside the calls before they end."""

import asyncio

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.ports import Clock
from aigne_hub.providers.service_account import AccessToken, NoToken, ServiceAccount, token_in
from aigne_hub.transport import Client, Origin, TransportError, request_head

AHEAD_S = 300  # how long before its end a token is renewed
AGAIN_S = 10  # how long after a failure it is tried again while the old one is good
_FORM = (("content-type", "application/x-www-form-urlencoded"),)


class Tokens:
    """The tokens of one service account. Raises ValueError for an address that is none.

    A call waits only when there is no good token; those that wait share one request.
    """

    def __init__(
        self, client: Client, account: ServiceAccount, clock: Clock, *, trusted: bool
    ) -> None:
        self._client = client
        self._account = account
        self._clock = clock
        # A request names a path below a base, and this address is all of it.
        base, _, name = account.token_uri.rpartition("/")
        self._origin = Origin.parse(base, trusted=trusted)
        self._head = request_head("POST", self._origin, f"/{name}", _FORM)
        self._token: AccessToken | None = None
        self._task: asyncio.Task[AccessToken] | None = None
        self._again_s = 0

    async def current(self) -> str:
        """Return a good token; raises UpstreamError when there is none."""
        token, now_s = self._token, self._now_s()
        if token is not None and now_s < token.ends_s:
            if now_s >= token.ends_s - AHEAD_S and now_s >= self._again_s:
                self._renew(now_s)
            return token.text
        # The call that began the request may leave, the others still wait for it.
        return (await asyncio.shield(self._renew(now_s))).text

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000

    def _renew(self, now_s: int) -> asyncio.Task[AccessToken]:
        if self._task is None:
            self._again_s = now_s + AGAIN_S
            self._task = asyncio.get_running_loop().create_task(self._fetched())
            self._task.add_done_callback(self._done)
        return self._task

    def _done(self, task: asyncio.Task[AccessToken]) -> None:
        self._task = None
        if not task.cancelled() and task.exception() is None:
            self._token = task.result()

    async def _fetched(self) -> AccessToken:
        now_s = self._now_s()
        try:
            body = self._account.request(now_s)
        except ValueError as error:
            raise _failure(str(error), Fault.REFUSED) from None
        try:
            answer = await self._client.send(self._origin, self._head, body)
            return token_in(answer.status, await answer.read(), now_s)
        except TransportError as error:
            raise _failure(error.message, Fault.UNREACHABLE) from None
        except NoToken as error:
            raise _failure(str(error), error.fault) from None


def _failure(why: str, fault: Fault) -> UpstreamError:
    return UpstreamError(f"No access token was to be had: {why}.", fault=fault)
