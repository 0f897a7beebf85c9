"""RunPod's REST API, version 2: the few calls that this project makes, with their failures.

Endpoints, bodies and error statuses follow the published description of the API (OpenAPI 3.1,
https://api.runpod.io/v2/openapi.json). Errors are RFC 9457 problem objects. Only the standard
library is used, so that a pod needs nothing but Python to end itself.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, Request, build_opener

TIMEOUT = 30.0
Pod = dict[str, Any]


class RunPodError(Exception):
    """RunPod refused, for a reason that trying again will not change."""


class Refused(RunPodError):
    """The key was refused: it has expired, was revoked, or lacks the right."""


class NotPlaced(RunPodError):
    """No machine was found for a pod. RunPod has no status of its own for this: a body that
    breaks one of its rules is answered in the same way."""


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
    """Calls with one key. Faults that may pass are retried for at most `retry_seconds`."""

    def __init__(self, api: str, key: str, retry_seconds: float):
        self._api = api.rstrip("/")
        self._key = key
        self._retry_seconds = retry_seconds
        self._opener = build_opener(_NoRedirect)

    def price(self, gpu_type: str, cloud: str) -> float:
        """List price in USD per hour of one GPU of this type."""
        gpu = self._retried("GET", f"/v2/catalog/gpus/{quote(gpu_type)}")
        return float(gpu["price"][cloud.lower()])

    def pods(self) -> list[Pod]:
        """Every pod of the account that has not been deleted, stopped ones among them."""
        listed = self._retried("GET", "/v2/pods")["pods"]
        return [pod for pod in listed if pod["status"] != "TERMINATED"]

    def create(self, body: dict[str, Any]) -> Pod:
        """Create a pod under a name that no other has.

        A lost answer may stand for a pod that exists, so the name is looked for before the
        request is repeated. Raises NotPlaced where no machine is free.
        """
        for retry in self._attempts():
            try:
                pod: dict[str, Any] = self._once("POST", "/v2/pods", body)
                return pod
            except NotNow as error:
                retry(error)
                found = [pod for pod in self.pods() if pod["name"] == body["name"]]
                if found:
                    return found[0]
        raise AssertionError("attempts end by an error")

    def delete(self, pod: str) -> None:
        """Delete a pod for good; one that is gone already is fine."""
        self._retried("DELETE", f"/v2/pods/{quote(pod)}")

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
        request = Request(
            self._api + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._key}",
                "Content-Type": "application/json",
                "User-Agent": "persona-geometry",
            },
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                text = response.read()
                return json.loads(text) if text else None
        except HTTPError as error:
            if error.code == 404 and method == "DELETE":
                return None
            raise self._problem(error, method) from None
        except (OSError, HTTPException, ValueError) as error:
            raise Unclear(f"RunPod did not answer ({type(error).__name__})") from None

    def _problem(self, error: HTTPError, method: str) -> RunPodError:
        try:
            problem = json.loads(error.read())
            detail = "; ".join([problem["detail"], *problem.get("errors", [])])
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            detail = error.reason
        detail = f"{error.code}: {detail}".replace(self._key, "***")
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
        if error.code == 429:
            try:
                wait = float(error.headers.get("Retry-After", 0))
            except ValueError:
                wait = 0.0
            return NotNow(f"RunPod asks for fewer requests ({detail})", wait)
        if error.code >= 500:
            return Unclear(f"RunPod has a fault ({detail})")
        if error.code == 400 and method == "POST":
            return NotPlaced(f"RunPod found no machine for the pod ({detail})")
        return RunPodError(f"RunPod refused the request ({detail}).")
