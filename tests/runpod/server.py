"""RunPod for tests: a real HTTP server with real state, whose pods are real processes.

Requests and answers are checked against the published schema. A pod's process gets what RunPod
gives a container: its id and a key of its own, which may read and delete that pod only.
"""

import contextlib
import json
import math
import os
import re
import secrets
import shlex
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema
import psutil

from .api_schema import CREATE_POD, GPU_TYPE, POD, PROBLEM

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    422: "Unprocessable Entity",
    302: "Found",
    402: "Payment Required",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass
class Fault:
    """Answer the next `times` requests of a method and path (any, where None) with this status.

    Status 0 carries the request out, `delay` seconds late, and drops the connection without an
    answer. An `answer` stands in the place of the right one (200) or of a problem.
    """

    status: int
    times: int = 1
    method: str | None = None
    path: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    detail: str = "a fault of the test's"
    answer: dict | str | None = None
    delay: float = 0.0


class Problem(Exception):
    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


HTML = "<html><title>Attention Required!</title></html>"


class Container:
    """One pod: state that changes with time, and the process that it runs."""

    def __init__(self, body: dict, service: "RunPod"):
        self.id, self.key = f"pod{secrets.token_hex(5)}", f"pod-key-{secrets.token_hex(16)}"
        self.body, self.service, self.price = body, service, service.price
        self.created = time.time()
        self.process: subprocess.Popen[bytes] | None = None
        self.deleted = False
        self._start = threading.Timer(service.start_seconds, self._run)
        self._start.start()

    def _run(self) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RUNPOD_")
        }
        environment |= self.body.get("env", {})
        environment |= {"RUNPOD_POD_ID": self.id, "RUNPOD_API_KEY": self.key}
        environment["PATH"] = f"{self.service.tools}:{environment['PATH']}"
        if not self.deleted:
            self.process = subprocess.Popen(
                shlex.split(self.body["args"]),
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def status(self) -> str:
        if self.process is None:
            return "PROVISIONING" if time.time() < self.created + 0.1 else "STARTING"
        return "RUNNING" if self.process.poll() is None else "EXITED"

    def processes(self) -> list[psutil.Process]:
        """Everything that runs in the container, found by what only it has in its environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("RUNPOD_POD_ID") == self.id:
                    found.append(process)
        return found

    def kill(self) -> None:
        """End every process at once, as deleting a pod does, or losing its machine."""
        self._start.cancel()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def public(self) -> dict:
        status, gpu = self.status(), self.body["gpu"]
        pod = {
            "id": self.id,
            "name": self.body["name"],
            "status": status,
            "actions": ["terminate"],
            "image": self.body["image"],
            "args": self.body.get("args", ""),
            "disk": self.body.get("disk", 20),
            "mounts": self.body.get("mounts", {}),
            "ports": [],
            "env": self.body.get("env", {}),
            "registry": None,
            "gpu": {"id": gpu["id"], "count": gpu.get("count", 1), "vcpuCount": 16, "memory": 128},
            "cloud": self.body.get("cloud", "SECURE"),
            "dataCenterId": "US-TX-3",
            "cudaVersion": "12.8",
            "ssh": {"proxy": None, "direct": None},
            "template": None,
            "cost": 0.0 if status == "EXITED" else self.price * gpu.get("count", 1),
            "locked": False,
            "runtime": {} if status == "RUNNING" else None,
            "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created)),
            "startedAt": None,
            "globalNetworking": {"enabled": False},
        }
        jsonschema.validate(pod, POD)
        pod |= self.service.strange
        return {name: value for name, value in pod.items() if value is not ...}


class RunPod:
    """The service. Tests set its fields; `pods` are the living ones, `ever` all there were."""

    def __init__(self, volume: Path):
        self.key = f"rpa_{secrets.token_hex(20)}"
        self.volumes = {"volume1": volume}
        self.tools = volume.parent / "tools"  # what the image has besides the usual
        self.price, self.capacity, self.start_seconds = 2.5, 8, 0.3
        self.faults: list[Fault] = []
        self.pods: dict[str, Container] = {}
        self.ever: list[Container] = []
        self.strange: dict[str, object] = {}  # wrong fields of pods; ...: not there at all
        self.pods_may_delete = True  # with their own keys
        self.page = 1000
        self.quota: tuple[int, float] | None = None  # requests in so many seconds
        self._window: list[float] = []
        self.most = 0
        self.requests: list[tuple[str, str, int]] = []
        self.seen_on_command_lines = False
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "RunPod":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for pod in self.ever:
            pod.deleted = True
            pod.kill()

    def answers(self, method: str) -> list[int]:
        return [status for used, _, status in self.requests if used == method]

    def limits(self) -> dict[str, str]:
        """Count a request; the headers that tell of the quota. Raises Problem beyond it."""
        if self.quota is None:
            return {}
        quota, seconds = self.quota
        now = time.monotonic()
        if not self._window or now > self._window[0] + seconds:
            self._window = [now]
        else:
            self._window.append(now)
        reset = max(1, math.ceil(self._window[0] + seconds - now))
        left = max(0, quota - len(self._window))
        headers = {"RateLimit": f'"minute";r={left};t={reset}, "day";r=9000;t=50000'}
        if len(self._window) > quota:
            raise Problem(429, "rate limit exceeded", headers | {"Retry-After": str(reset)})
        return headers

    def listed(self, query: str) -> dict:
        """One page of the list of pods."""
        cursor = parse_qs(query).get("cursor", ["cursor-0"])[0]
        start = int(cursor.removeprefix("cursor-"))
        pods = list(self.pods.values())
        more = len(pods) > start + self.page
        return {
            "pods": [pod.public() for pod in pods[start : start + self.page]],
            "pagination": {
                "nextCursor": f"cursor-{start + self.page}" if more else None,
                "hasNextPage": more,
            },
        }

    def handle(self, method: str, url: str, key: str, text: bytes) -> tuple[int, dict | None]:
        """Carry out one request; raises Problem."""
        path, query = urlsplit(url).path, urlsplit(url).query
        if method == "DELETE" and (tool := re.fullmatch(r"/runpodctl/([^/]+)", path)):
            self._delete(tool[1])
            return 204, None
        own = next((p for p in self.pods.values() if p.key == key), None)
        if key != self.key and own is None:
            raise Problem(401, "the bearer token is expired or invalid")
        pod = re.fullmatch(r"/v2/pods/([^/]+)", path)
        if own is not None and method == "DELETE" and not self.pods_may_delete:
            raise Problem(403, "access denied")
        if own is not None and (pod is None or pod[1] != own.id):
            raise Problem(403, "a pod's key has no access to other resources")
        if pod is not None and pod[1] not in self.pods:
            raise Problem(404, "pod not found")
        gpu = re.fullmatch(r"/v2/catalog/gpus/([^/]+)", path)
        match method:
            case "GET" if path == "/v2/pods":
                return 200, self.listed(query)
            case "GET" if pod:
                return 200, self.pods[pod[1]].public()
            case "GET" if gpu:
                return 200, self._gpu(unquote(gpu[1]))
            case "POST" if path == "/v2/pods":
                return 201, self._create(text)
            case "DELETE" if pod:
                self._delete(pod[1])
                return 204, None
        raise Problem(404, "no such path")

    def _delete(self, pod: str) -> None:
        container = self.pods.pop(pod)
        container.deleted = True
        threading.Thread(target=container.kill).start()

    def _gpu(self, name: str) -> dict:
        if name != "NVIDIA H100 80GB HBM3":
            raise Problem(404, "GPU type not found")
        gpu = {
            "id": name,
            "name": "H100 SXM",
            "pool": None,
            "manufacturer": "NVIDIA",
            "memory": 80,
            "secure": True,
            "community": True,
            "price": {"secure": self.price, "community": self.price},
            "maxCount": {"secure": 8, "community": 8},
        }
        jsonschema.validate(gpu, GPU_TYPE)
        return gpu

    def _create(self, text: bytes) -> dict:
        try:
            body = json.loads(text)
            jsonschema.validate(body, CREATE_POD)
        except (ValueError, jsonschema.ValidationError) as error:
            raise Problem(422, f"request validation failed: {error}") from None
        if ("gpu" in body) == ("cpu" in body):
            raise Problem(400, "exactly one of gpu and cpu must be set")
        for mount in body.get("mounts", {}).get("network", []):
            if mount["volumeId"] not in self.volumes:
                raise Problem(400, "network volume not found")
        if len(self.pods) >= self.capacity:
            raise Problem(400, "there are no instances currently available")
        self._gpu(body["gpu"]["id"])
        self._look_for_key()
        container = Container(body, self)
        self.pods[container.id] = container
        self.ever.append(container)
        self.most = max(self.most, len(self.pods))
        return container.public()

    def _look_for_key(self) -> None:
        for process in psutil.process_iter(["cmdline"]):
            if any(self.key in word for word in process.info["cmdline"] or []):
                self.seen_on_command_lines = True

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            meant = fault.method in (None, method) and fault.path in (None, path)
            if fault.times > 0 and meant:
                fault.times -= 1
                return fault
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def serve(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path = urlsplit(self.path).path
                headers: dict[str, str] = {}
                key = self.headers.get("Authorization", "").removeprefix("Bearer ")
                with service._lock:
                    fault = service._fault(self.command, path)
                if fault is not None:
                    time.sleep(fault.delay)
                with service._lock:
                    try:
                        headers = service.limits()
                        if fault is not None and fault.status:
                            if fault.answer is None:
                                raise Problem(fault.status, fault.detail, fault.headers)
                            status, answer = fault.status, fault.answer
                        else:
                            status, answer = service.handle(self.command, self.path, key, text)
                        kind = "application/json"
                    except Problem as problem:
                        status, headers = problem.status, headers | problem.headers
                        kind = "application/problem+json"
                        answer = {
                            "title": TITLES[status],
                            "status": status,
                            "detail": problem.detail,
                        }
                        jsonschema.validate(answer, PROBLEM)
                    service.requests.append((self.command, path, status))
                if fault is not None and fault.status == 0:
                    self.close_connection = True
                    return
                body = b"" if answer is None else json.dumps(answer).encode()
                if isinstance(answer, str):
                    kind, body = "text/html", answer.encode()
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = do_DELETE = serve

            def log_message(self, *_: object) -> None:
                pass

        return Handler
