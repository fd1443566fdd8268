"""Clients that ask a server all the time, while something happens to it."""

import ssl
import threading
import time
from collections import Counter
from typing import Any

import httpx

from tests.journeys.serving import PATIENCE_SECONDS


class Load:
    """Clients that ask one request after another: how each ended, the means, and the slowest.

    With `again_after`, they repeat a request that failed, once, after so many seconds: `again` has
    how the second attempts ended.
    """

    def __init__(
        self,
        url: str,
        body: Any,
        clients: int = 4,
        *,
        verify: ssl.SSLContext | bool = True,
        again_after: float | None = None,
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self.again: Counter[str] = Counter()
        self._again_after = again_after
        self.means: set[float] = set()
        self.slowest_seconds = 0.0
        self._url, self._body, self._verify = url, body, verify
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def failed(self) -> Counter[str]:
        """How many requests ended in another way than with an answer."""
        return Counter({how: count for how, count in self.outcomes.items() if how != "200"})

    def _ask(self) -> None:
        with httpx.Client(timeout=PATIENCE_SECONDS, verify=self._verify) as client:
            while not self._stop.is_set():
                how = self._once(client)
                self.outcomes[how] += 1
                if how != "200" and self._again_after is not None:
                    time.sleep(self._again_after)
                    self.again[self._once(client)] += 1
                elif how == "refused":
                    time.sleep(0.02)

    def _once(self, client: httpx.Client) -> str:
        """How one request ends."""
        started = time.monotonic()
        try:
            answer = client.post(f"{self._url}/predict", json=self._body)
        except httpx.ConnectError:  # nobody listens: nothing was accepted
            return "refused"
        except httpx.TransportError as error:
            return type(error).__name__
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)
        if answer.status_code == 200:
            self.means.add(answer.json()["predictions"][0]["mean"])
        return str(answer.status_code)
