"""RunPod's REST API, version 2: the few calls that this project makes, with their failures.

Endpoints, bodies and error statuses follow the published description of the API (OpenAPI 3.1,
https://api.runpod.io/v2/openapi.json). Errors are RFC 9457 problem objects. Only the standard
library is used, so that a pod needs nothing but Python to end itself.
"""

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, Request, build_opener

from .pace import Pace, retry_after

TIMEOUT = 30.0
# What a 400 says that means no machine is free. RunPod publishes no words: the first three are from
# sentences that users have quoted, the last is a guess. Single words, such as "available", would
# take a broken rule for a lack of machines.
NO_MACHINE = re.compile(
    r"\bno (longer )?(any )?instances\b.* available"
    r"|machine does not have the resources"
    r"|not enough free GPUs"
    r"|\b(out of|no|insufficient) (GPU )?(stock|capacity)\b",
    re.IGNORECASE,
)
Pod = dict[str, Any]  # id, name, status, createdAt, and cost: USD an hour, or None where not said


class RunPodError(Exception):
    """RunPod refused, for a reason that trying again will not change."""


class Refused(RunPodError):
    """The key was refused: it has expired, was revoked, or lacks the right."""


class Missing(RunPodError):
    """RunPod knows of no such thing."""


class NotPlaced(RunPodError):
    """No machine was found for a pod."""


class NotNow(RunPodError):
    """Too many requests. `wait` is the number of seconds that RunPod asked for."""

    def __init__(self, message: str, wait: float = 0.0):
        super().__init__(message)
        self.wait = wait


class Unclear(NotNow):
    """A fault of RunPod's or of the network: the request may have been carried out or not."""


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would hand the key to another address."""

    def redirect_request(self, *_: object) -> None:
        return None


class Client:
    """Calls with one key. Faults that may pass are retried for at most `retry_seconds`.

    Where a `pace` is given, no request goes out while it holds requests back.
    """

    def __init__(self, api: str, key: str, retry_seconds: float, pace: Pace | None = None):
        self.key = key
        self._api = api.rstrip("/")
        self._retry_seconds = retry_seconds
        self._pace = pace
        self._opener = build_opener(_NoRedirect)

    def price(self, gpu_type: str, cloud: str) -> float:
        """List price in USD per hour of one GPU of this type."""
        gpu = self._retried("GET", f"/v2/catalog/gpus/{quote(gpu_type)}")
        try:
            return float(gpu["price"][cloud.lower()])
        except (KeyError, TypeError, ValueError):
            raise Unclear(f"RunPod says no price of {gpu_type} in {cloud}") from None

    def pods(self) -> list[Pod]:
        """Every pod of the account that has not been deleted, stopped ones among them."""
        pods: list[Pod] = []
        path = "/v2/pods"
        while True:
            page = self._retried("GET", path)
            try:
                pods += [_pod(pod) for pod in page["pods"] if pod["status"] != "TERMINATED"]
                pages = page.get("pagination") or {}
                if not pages.get("hasNextPage"):
                    return pods
                path = f"/v2/pods?cursor={quote(pages['nextCursor'], safe='')}"
            except (KeyError, TypeError, AttributeError):
                raise Unclear("RunPod's list of pods is not of its published form") from None

    def pod(self, pod: str) -> Pod | None:
        """One pod, or None where RunPod knows of none with this id that has not been deleted."""
        try:
            found = _pod(self._retried("GET", f"/v2/pods/{quote(pod)}"))
            return None if found["status"] == "TERMINATED" else found
        except Missing:
            return None
        except (KeyError, TypeError):
            raise Unclear("RunPod's answer is not of its published form") from None

    def create(self, body: dict[str, Any]) -> Pod:
        """Ask once for a pod. Raises NotPlaced where no machine is free.

        Unclear stands for a pod that may exist, or come to exist later.
        """
        try:
            return _pod(self._once("POST", "/v2/pods", body))
        except (KeyError, TypeError):
            raise Unclear("RunPod's answer is not of its published form") from None

    def delete(self, pod: str) -> bool:
        """Delete a pod for good; whether there was one, as one that is gone already is fine."""
        try:
            self._retried("DELETE", f"/v2/pods/{quote(pod)}")
        except Missing:
            return False
        return True

    def _retried(self, method: str, path: str) -> Any:
        for retry in self._attempts():
            try:
                return self._once(method, path)
            except NotNow as error:
                retry(error)
        raise AssertionError("attempts end by an error")

    def _attempts(self) -> Iterator[Callable[[NotNow], None]]:
        """Yield for each attempt what to call with its failure: it waits, or raises it."""
        end = time.monotonic() + self._retry_seconds
        pause = 0.5

        def retry(error: NotNow) -> None:
            # Jitter, so that jobs refused together do not come back together.
            wait = error.wait + random.uniform(pause / 2, pause)
            if time.monotonic() + wait > end:
                raise error
            time.sleep(wait)

        while True:
            yield retry
            pause = min(2 * pause, 10.0)

    def _once(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if self._pace is not None:
            wait, why = self._pace.held(method)
            if wait > 0:
                raise NotNow(why, wait)
        request = Request(
            self._api + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.key}",
                "Content-Type": "application/json",
                "User-Agent": "persona-geometry",
            },
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                text = response.read()
                if self._pace is not None:
                    self._pace.heed(response.headers)
                return json.loads(text) if text else None
        except HTTPError as error:
            problem = self._problem(error, method)
            if self._pace is not None:
                self._pace.heed(error.headers)
                if isinstance(problem, NotNow):
                    self._pace.hold("any", problem.wait, str(problem))
            raise problem from None
        except (OSError, HTTPException, ValueError) as error:
            raise Unclear(f"RunPod did not answer ({type(error).__name__})") from None

    def _problem(self, error: HTTPError, method: str) -> RunPodError:
        """What an error status means."""
        detail, own = str(error.reason), False
        try:
            problem = json.loads(error.read())
            own = isinstance(problem, dict)
            detail = "; ".join([problem["detail"], *problem.get("errors", [])])
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            pass
        detail = f"{error.code}: {detail}".replace(self.key, "***")
        if error.code == 429:
            wait = retry_after(error.headers)
            return NotNow(f"RunPod asks for fewer requests ({detail})", wait)
        if error.code >= 500:
            return Unclear(f"RunPod has a fault ({detail})", retry_after(error.headers))
        if not own:
            return Unclear(f"The answer is not RunPod's own, but a page's on the way ({detail})")
        if error.code == 404:
            return Missing(f"RunPod knows of no such thing ({detail}).")
        if error.code == 401:
            return Refused(
                f"RunPod refused the API key ({detail}): it has expired, was revoked or is "
                "mistyped; put a valid key in its place and run again."
            )
        if error.code == 403:
            return Refused(
                f"The API key lacks the right to do this ({detail}): give it read and write "
                "access to pods (the key that a pod has by itself cannot create pods)."
            )
        if error.code == 402:
            return RunPodError(f"The account's balance is too low for a pod ({detail}).")
        if error.code == 400 and method == "POST" and NO_MACHINE.search(detail):
            return NotPlaced(f"RunPod found no machine for the pod ({detail})")
        return RunPodError(f"RunPod refused the request ({detail}).")


def _pod(answer: dict[str, Any]) -> Pod:
    """What is used of a pod's description; the rest, its environment above all, is not kept."""
    cost = answer.get("cost")
    return {
        "id": answer["id"],
        "name": answer["name"],
        "status": answer["status"],
        "createdAt": answer.get("createdAt") or "",
        "cost": float(cost) if isinstance(cost, int | float) else None,
    }
