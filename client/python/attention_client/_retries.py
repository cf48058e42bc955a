"""When calls that failed are made again, and which calls of a stream that broke off."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from . import errors


@dataclass(frozen=True)
class Retries:
    """When a call that ended with Unavailable is made again, within its timeout.

    attempts: of one call in all; 1: no retries. The n-th wait is drawn from 0 to first_wait * 2**(n - 1)
    seconds, at most most_wait; the server's own word counts more. Retries must not make an overload
    worse: each failure takes 1 from the budget, each answer adds `refill` to it, up to `budget`, and
    there are no retries below half of that.
    """

    attempts: int = 4
    first_wait: float = 0.1
    most_wait: float = 5.0
    budget: float = 20.0
    refill: float = 0.1


class Budget:
    """Decides for all calls of one client. Thread-safe."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._budget = retries.budget
        self._lock = threading.Lock()

    def count_success(self) -> None:
        with self._lock:
            self._budget = min(self._retries.budget, self._budget + self._retries.refill)

    def next_wait(self, error: errors.AttentionError, failures: int) -> float | None:
        """Seconds until a call that has failed so many times is made again; None: never. Counts the
        failure."""
        if not isinstance(error, errors.Unavailable):
            return None
        with self._lock:
            self._budget = max(0.0, self._budget - 1)
            too_few = self._budget <= self._retries.budget / 2
        if failures >= self._retries.attempts or too_few:
            return None
        if error.retry_after is not None:
            return error.retry_after
        longest = min(self._retries.most_wait, self._retries.first_wait * 2.0 ** (failures - 1))
        return random.uniform(0, longest)


class Attempts:
    """At one call, or at one stream: how many failed in a row, and the time that is left."""

    def __init__(self, budget: Budget, timeout: float | None, *, once: bool = False) -> None:
        """once: the call changes layers, and is never made again."""
        self._budget = budget
        self._once = once
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._failures = 0

    def time_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def count_answer(self) -> None:
        self._failures = 0
        self._budget.count_success()

    def wait_after(self, error: errors.AttentionError) -> float:
        """Seconds until the next attempt. Raises the error where there is none."""
        if self._once:
            raise errors.with_what_may_have_happened(error) from None
        self._failures += 1
        wait = self._budget.next_wait(error, self._failures)
        left = self.time_left()
        if wait is None or (left is not None and wait >= left):
            raise error from None
        return wait


# A request_id has at most so many bytes; a longer one is sent as it is, and the server's refusal
# comes without it.
_MOST_ID_BYTES = 256


class UnansweredCalls:
    """The requests of one stream that have no answer yet, kept so that they can be sent again.

    Answers are known by their request_id, which therefore differs between all that are kept: one
    whose own is empty, or that of another, goes with a longer one and is answered with its own.
    For one thread at a time.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, str]] = {}  # in their order: the request, its own id
        self._too_long: deque[str] = deque()
        self._added = 0
        self.unsent: deque[Any] = deque()  # on the stream that there is now

    def add(self, request: Any) -> None:
        own = request.request_id
        sent = self._free_id(own)
        if len(own.encode()) > _MOST_ID_BYTES:
            self._too_long.append(sent)
        elif sent != own:
            copy = type(request)()
            copy.CopyFrom(request)
            copy.request_id = sent
            request = copy
        self._kept[sent] = (request, own)
        self._added += 1
        self.unsent.append(request)

    def _free_id(self, own: str) -> str:
        if len(own.encode()) > _MOST_ID_BYTES:
            return f"{own}#{self._added}"  # a key of this table's only
        found, number = own, self._added
        while not found or found in self._kept:
            found = f"{own}#{number}"
            if len(found.encode()) > _MOST_ID_BYTES:
                found = f"#{number}"
            number += 1
        return found

    def answer(self, response: Any) -> None:
        """Lets the call go that this answers, and gives the answer that call's own request_id."""
        key = response.request_id
        if not key and self._too_long:
            self._kept.pop(self._too_long.popleft())
        elif key in self._kept:
            response.request_id = self._kept.pop(key)[1]

    def send_again(self) -> None:
        """All that are kept, on another stream."""
        self.unsent = deque(request for request, _ in self._kept.values())

    def __bool__(self) -> bool:
        return bool(self._kept)
