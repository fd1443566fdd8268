"""A discrete-event simulation of the service: what it answers, when, and what it refuses.

A server process has an event loop, which reads requests, computes short batches and writes answers,
one after another, and a thread for long batches. Requests that arrive while the event loop is busy
are read together afterwards, and form the next batch with those that have equal options. All
processes share the cores of the machine equally. A proxy, if there is one, is a process in front
that handles one request at a time.

What is left out: time limits of requests, clients that leave, the network's own delay, and any
process of the machine but a constant number of busy ones (`background`).
"""

import heapq
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

SHORT_SECONDS = 0.01  # as in app/compute/computation.py: so long are batches of the event loop
LOOP_SECONDS, LONG_SECONDS = 0.02, 0.1
LEAST_ROWS = 16
GATHER_SECONDS = 0.002  # as in app/compute/batching.py

Routing = Literal["accept", "round robin", "least connections", "least work"]


@dataclass(frozen=True)
class Pace:
    """Seconds of CPU time. A batch of n requests takes `turn + n * request + rows * row + passes *
    draw + rows * passes * row_pass`."""

    turn: float = 0.0
    request: float = 0.0
    row: float = 0.0
    draw: float = 0.0  # of the masks of a pass
    row_pass: float = 0.0
    refusal: float = 0.0  # of a request that gets 429

    def handling(self, rows: float) -> float:
        """To read a request and to write its answer; the first half comes before the batch."""
        return self.request + rows * self.row

    def computing(self, rows: float, passes: float) -> float:
        """To compute a batch."""
        return self.turn + passes * self.draw + rows * passes * self.row_pass

    def rows_within(self, seconds: float, passes: float) -> int:
        """The most rows of a batch that takes about so long, 16 at least."""
        left = seconds - self.computing(0, passes)
        each = passes * self.row_pass
        return max(LEAST_ROWS, int(left / each) if each else 2**31)


@dataclass(frozen=True)
class System:
    """Server processes, what is in front of them, and the cores that they share."""

    pace: Pace
    workers: int = 1
    cores: float = math.inf
    routing: Routing = "accept"
    connections: int = 64  # with `accept`, each stays with the process that has accepted it
    proxy: float = 0.0  # CPU seconds of a request at the proxy
    queue_rows: int = 20_000
    batch_rows: int = 1_024
    background: float = 0.0  # other processes of the machine that always want a core


@dataclass(frozen=True)
class Traffic:
    """Requests in the order of their arrival; those of equal `passes` may share a batch."""

    seconds: np.ndarray  # [R], when each arrives
    rows: np.ndarray  # [R]
    passes: np.ndarray  # [R]

    @classmethod
    def of(cls, seconds: np.ndarray, rows: float = 1, passes: float = 100) -> "Traffic":
        """Requests of one kind."""
        return cls(seconds, np.full(len(seconds), rows), np.full(len(seconds), passes))


@dataclass
class Simulated:
    """What came of the requests."""

    latency: np.ndarray  # [R], seconds until the answer, NaN for what was refused
    refused: np.ndarray  # [R], whether it got 429
    seconds: float  # until the last answer
    batches: list[int] = field(default_factory=list)  # the requests in each

    def milliseconds(self, percent: float) -> float:
        """A percentile of the latency of what was answered."""
        return 1000 * float(np.nanpercentile(self.latency, percent))

    def rate(self) -> float:
        """Answers per second, without refusals."""
        return float((~self.refused).sum() / self.seconds)


def poisson(rate: float, count: int, random: np.random.Generator) -> np.ndarray:
    """The times of requests that know nothing of each other."""
    return np.cumsum(random.exponential(1 / rate, count))


def bursts(
    rate: float, count: int, random: np.random.Generator, *, peak: float = 4, on: float = 0.1
) -> np.ndarray:
    """Times of an interrupted Poisson process (Kuczura 1973): `peak` times the rate, or none.

    Times with requests and times without are exponential; the former are of `on` seconds on
    average, and are 1/`peak` of all time.
    """
    busy = np.cumsum(random.exponential(1 / (peak * rate), count))  # on a clock that stops
    starts = np.cumsum(random.exponential(on, int(2 * busy[-1] / on) + 100))
    pauses = np.cumsum(random.exponential(on * (peak - 1), len(starts)))
    before = np.searchsorted(starts, busy)
    return busy + np.where(before > 0, pauses[before - 1], 0.0)


class _Cores:
    """Jobs that share the cores equally. The clock `served` runs as fast as each job is served."""

    def __init__(self, cores: float, background: float) -> None:
        self._cores, self._background = cores, background
        self._served = 0.0
        self._jobs: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def start(self, seconds: float, then: Callable[[], None]) -> None:
        """Begin a job of so many CPU seconds, and call `then` at its end."""
        heapq.heappush(self._jobs, (self._served + seconds, next(self._number), then))

    def seconds_to_next(self) -> float:
        """Until the next job ends, if none begins before."""
        return (self._jobs[0][0] - self._served) / self._speed() if self._jobs else math.inf

    def advance(self, seconds: float) -> None:
        self._served += seconds * self._speed()

    def end(self) -> None:
        """End the job that is due."""
        self._served, _, then = heapq.heappop(self._jobs)
        then()

    def _speed(self) -> float:
        wanted = len(self._jobs) + self._background
        return min(1.0, self._cores / wanted) if wanted else 1.0


def simulate(system: System, traffic: Traffic, *, seed: int = 0) -> Simulated:
    """Let the system answer the traffic; `seed` chooses which process accepts which connection."""
    return _Run(system, traffic, np.random.default_rng(seed)).run()


class _Run:
    def __init__(self, system: System, traffic: Traffic, random: np.random.Generator) -> None:
        self.system, self.traffic = system, traffic
        self.rows, self.passes = traffic.rows.tolist(), traffic.passes.tolist()
        self.now = 0.0
        self.cores = _Cores(system.cores, system.background)
        self.latency = np.full(len(self.rows), np.nan)
        self.refused = np.zeros(len(self.rows), bool)
        self.batches: list[int] = []
        self._workers = [_Worker(self) for _ in range(system.workers)]
        self._turn = itertools.count()
        accepted = random.integers(system.workers, size=system.connections)
        connections = random.integers(system.connections, size=len(self.rows))
        self._accepted: list[int] = accepted[connections].tolist()
        self._proxied: deque[int] = deque()

    def run(self) -> Simulated:
        arrivals = deque(enumerate(self.traffic.seconds.tolist()))
        while True:
            ends = self.now + self.cores.seconds_to_next()
            if arrivals and arrivals[0][1] <= ends:
                number, at = arrivals.popleft()
                self._advance(at)
                self._arrive(number)
            elif math.isfinite(ends):
                self._advance(ends)
                self.cores.end()
            else:
                return Simulated(self.latency, self.refused, self.now, self.batches)

    def answer(self, number: int, *, refused: bool = False) -> None:
        self.refused[number] = refused
        if not refused:
            self.latency[number] = self.now - self.traffic.seconds[number]

    def _advance(self, to: float) -> None:
        self.cores.advance(to - self.now)
        self.now = to

    def _arrive(self, number: int) -> None:
        if not self.system.proxy:
            self._worker(number).arrive(number)
            return
        self._proxied.append(number)
        if len(self._proxied) == 1:
            self._pass_on()

    def _pass_on(self) -> None:
        def ended() -> None:
            number = self._proxied.popleft()
            if self._proxied:
                self._pass_on()
            self._worker(number).arrive(number)

        self.cores.start(self.system.proxy, ended)

    def _worker(self, number: int) -> "_Worker":
        workers, routing = self._workers, self.system.routing
        if routing == "accept":
            return workers[self._accepted[number]]
        if routing == "round robin":
            return workers[next(self._turn) % len(workers)]
        if routing == "least work":  # the ideal: one queue for all
            return min(workers, key=lambda each: each.work(self.now))
        first = next(self._turn) % len(workers)  # equals take turns
        return min(workers[first:] + workers[:first], key=lambda each: each.unanswered)


class _Batcher:
    """Requests of equal passes share a batch; those with different passes take turns."""

    def __init__(self, run: _Run, seconds: float) -> None:
        self._run, self._seconds = run, seconds
        self._queue: OrderedDict[float, deque[tuple[int, float]]] = OrderedDict()
        self.rows = 0.0

    def add(self, number: int, *, cut: bool = False) -> None:
        """Let a request wait, as a whole or cut into slices."""
        rows, passes = self._run.rows[number], self._run.passes[number]
        self.rows += rows
        most = min(self._most(passes), rows) if cut else rows
        self._queue.setdefault(passes, deque()).append((number, most))

    def take(self) -> tuple[list[tuple[int, float]], float]:
        """The next batch: requests, and rows of each; and its passes."""
        passes, waiting = self._queue.popitem(last=False)
        taken: list[tuple[int, float]] = []
        most, rows = self._most(passes), 0.0
        while waiting and (not taken or rows + waiting[0][1] <= most):
            taken.append(waiting.popleft())
            rows += taken[-1][1]
        if waiting:
            self._queue[passes] = waiting  # at the end: others come first
        self.rows -= rows
        return taken, passes

    def again(self, number: int, rows: float) -> None:
        """Let the rest of a request wait, which `rows` already has."""
        self._queue.setdefault(self._run.passes[number], deque()).append((number, rows))

    def _most(self, passes: float) -> float:
        system = self._run.system
        return min(system.batch_rows, system.pace.rows_within(self._seconds, passes))

    def __bool__(self) -> bool:
        return bool(self._queue)


class _Worker:
    """A server process."""

    def __init__(self, run: _Run) -> None:
        self._run, self._pace = run, run.system.pace
        self._inbox: list[int] = []
        self._computed: list[int] = []  # by the thread; the event loop writes the answer
        self._short, self._long = _Batcher(run, LOOP_SECONDS), _Batcher(run, LONG_SECONDS)
        self._rows_left: dict[int, float] = {}  # of requests in slices
        self._loop_busy = self._thread_busy = False
        self._gather_until = 0.0
        self._free_at = 0.0
        self.unanswered = 0

    def work(self, now: float) -> float:
        """Seconds until the process would be free, without batches."""
        return max(self._free_at - now, 0.0)

    def arrive(self, number: int) -> None:
        rows, passes = self._run.rows[number], self._run.passes[number]
        seconds = self._pace.handling(rows) + self._pace.computing(rows, passes)
        self._free_at = max(self._free_at, self._run.now) + seconds
        self.unanswered += 1
        self._inbox.append(number)
        if not self._loop_busy:
            self._read(first=True)

    def _read(self, *, first: bool = False) -> None:
        """Read what has arrived and write what the thread has computed, in one job."""
        if first:
            self._gather_until = self._run.now + GATHER_SECONDS
        arrived, self._inbox = self._inbox, []
        written, self._computed = self._computed, []
        seconds = sum(self._handling(number) for number in written)
        refused = []
        for number in arrived:
            if self._admits(number):
                self._enqueue(number)
                seconds += self._handling(number)
            else:
                refused.append(number)
                seconds += self._pace.refusal

        def ended() -> None:
            for number in refused:
                self._answer(number, refused=True)
            for number in written:
                self._answer(number)
            if self._inbox and self._run.now < self._gather_until:
                self._read()
            else:
                self._compute()

        self._loop_busy = True
        self._run.cores.start(seconds, ended)

    def _admits(self, number: int) -> bool:
        waiting = self._short.rows + self._long.rows
        return not waiting or waiting + self._run.rows[number] <= self._run.system.queue_rows

    def _enqueue(self, number: int) -> None:
        rows, passes = self._run.rows[number], self._run.passes[number]
        if self._pace.computing(rows, passes) < SHORT_SECONDS:
            self._short.add(number)
        else:
            self._rows_left[number] = rows
            self._long.add(number, cut=True)

    def _handling(self, number: int) -> float:
        return self._pace.handling(self._run.rows[number]) / 2

    def _compute(self) -> None:
        """Compute the next short batch and write its answers, in one job."""
        if self._long and not self._thread_busy:
            self._compute_long()
        if not self._short:
            self._loop_busy = False
            if self._inbox or self._computed:
                self._read(first=True)
            return
        parts, passes = self._short.take()
        numbers = [number for number, _ in parts]
        self._run.batches.append(len(numbers))
        seconds = self._pace.computing(sum(rows for _, rows in parts), passes)

        def ended() -> None:
            for number in numbers:
                self._answer(number)
            if self._inbox or self._computed:
                self._read(first=True)
            else:
                self._compute()

        self._run.cores.start(seconds + sum(map(self._handling, numbers)), ended)

    def _compute_long(self) -> None:
        """Compute the next long batch beside the event loop, a slice of each request."""
        parts, passes = self._long.take()
        self._run.batches.append(len(parts))
        self._thread_busy = True

        def ended() -> None:
            self._thread_busy = False
            for number, rows in parts:
                self._rows_left[number] -= rows
                if self._rows_left[number] > 0:
                    self._long.again(number, min(rows, self._rows_left[number]))
                else:
                    del self._rows_left[number]
                    self._computed.append(number)
            if self._long:
                self._compute_long()
            if self._computed and not self._loop_busy:
                self._read(first=True)

        rows = sum(rows for _, rows in parts)
        self._run.cores.start(self._pace.computing(rows, passes), ended)

    def _answer(self, number: int, *, refused: bool = False) -> None:
        self.unanswered -= 1
        self._run.answer(number, refused=refused)
