"""Finding a model on the hub: the real client against a small server on this machine."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from persona_geometry.errors import InputError
from persona_geometry.model.hub import (
    cached_snapshot,
    finding_message,
    known_config,
    model_folder,
)
from persona_geometry.study.sections import Model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = Model.of(name="owner/model", revision=COMMIT)
EMBEDDED = Path(__file__).parents[2] / "resources" / "persona-lm"
FILES = {file.name: file.read_bytes() for file in EMBEDDED.iterdir()}


class Hub(ThreadingHTTPServer):
    """Serves one model, or refuses it in the hub's words.

    Attributes:
        refuse_listing, refuse_files: (status, headers) with which every listing or file is
            answered; None serves them.
        requests: the paths that were asked for.
        tokens: the authorizations that were sent.
    """

    refuse_listing: tuple[int, dict[str, str]] | None = None
    refuse_files: tuple[int, dict[str, str]] | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests: list[str] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.server.tokens.add(self.headers.get("Authorization"))
        listing = self.path.startswith("/api/")
        refusal = self.server.refuse_listing if listing else self.server.refuse_files
        if refusal:
            self.answer(refusal[0], refusal[1], b"{}")
        elif "/tree/" not in self.path and listing:
            siblings = [{"rfilename": name, "size": len(file)} for name, file in FILES.items()]
            told = {"id": "owner/model", "sha": COMMIT, "siblings": siblings}
            self.answer(200, {"Content-Type": "application/json"}, json.dumps(told).encode())
        elif listing:
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": f"{i:040x}"}
                for i, (name, content) in enumerate(FILES.items())
            ]
            self.answer(200, {"Content-Type": "application/json"}, json.dumps(tree).encode())
        else:
            name = self.path.split("?")[0].rsplit("/", 1)[-1]
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{name}"'}
            self.answer(200, headers, FILES[name])

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


DESCRIBE = """
import json, sys, time
time.sleep = lambda seconds: None
from persona_geometry.errors import InputError
from persona_geometry.model.hub import describe_model
from persona_geometry.study.sections import Model
try:
    print(json.dumps(describe_model(Model(**json.loads(sys.argv[1])), print)))
except InputError as error:
    sys.exit(f"Error: {error}")
"""
OUTLINE = """
import json, sys
from persona_geometry.model.hub import outline_model
from persona_geometry.study.sections import Model
print(json.dumps(vars(outline_model(Model(**json.loads(sys.argv[1]))))))
"""


def describe(
    endpoint: str, home: Path, model: Model = MODEL, script: str = DESCRIBE, **environment: str
) -> str:
    """What a fresh process says that looks for a model: the client reads its settings once."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    settings = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "*",
    }
    ran = subprocess.run(
        [sys.executable, "-c", script, json.dumps(asdict(model))],
        env=kept | settings | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    failed = [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
    assert ran.returncode == bool(failed), ran.stderr
    assert "Traceback" not in ran.stderr
    return failed[0] if failed else ran.stdout


def test_model_is_downloaded_once_and_then_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    first = describe(hub.url, tmp_path)
    assert "is not in the local cache; downloading it" in first
    assert json.loads(first.splitlines()[-1])["weight_bytes"] == len(FILES["model.safetensors"])
    assert not any("README" in path for path in hub.requests)
    assert (tmp_path / "hub" / "models--owner--model" / "snapshots" / COMMIT).is_dir()
    asked = len(hub.requests)
    again = describe(hub.url, tmp_path)
    offline = describe("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert again == offline == first.splitlines()[-1] + "\n"
    assert len(hub.requests) == asked


def outline(endpoint: str, home: Path, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(describe(endpoint, home, script=OUTLINE, **environment))
    return found


def test_hub_tells_of_a_model_what_it_is_and_weighs_before_it_is_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    told = outline(hub.url, tmp_path)
    weights = len(FILES["model.safetensors"])
    assert told["config"] == json.loads(FILES["config.json"]) and told["unknown"] is None
    wanted = set(FILES) - {"README.md", "config.json"}
    assert told["download_bytes"] == sum(len(FILES[name]) for name in wanted)
    assert told["weight_bytes"] == weights
    assert not any("safetensors" in path for path in hub.requests)
    offline = outline("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert offline["config"] == told["config"] and offline["download_bytes"] is None
    assert "the hub cannot be reached" in offline["unknown"]
    describe(hub.url, tmp_path)
    fetched = outline("http://127.0.0.1:9", tmp_path)
    assert (fetched["weight_bytes"], fetched["download_bytes"]) == (weights, 0)


def test_hub_that_refuses_to_tell_of_a_model_is_quoted(hub: Hub, tmp_path: Path) -> None:
    hub.refuse_listing = (403, GATED)
    told = outline(hub.url, tmp_path)
    assert told["config"] is None and "is gated and no token is set" in told["unknown"]


GATED = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this model is restricted."}
MISSING = "There is no model owner/model on the hub, or it is private and no token is set: correct"
REFUSALS = {
    "gated": ((403, GATED), "The model owner/model is gated and no token is set"),
    "missing, as anonymous": ((401, {"X-Error-Message": "Invalid username or password."}), MISSING),
    "missing": (
        (404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}),
        MISSING,
    ),
    "no such commit": (
        (404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"}),
        f"has no commit {COMMIT}; correct model.revision",
    ),
    "forbidden": ((403, {}), MISSING),
    "broken": ((500, {}), "The hub cannot deliver the model owner/model now (HTTP 500)"),
}


@pytest.mark.parametrize(("refusal", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_of_the_listing_are_one_sentence(
    hub: Hub, tmp_path: Path, refusal: tuple[int, dict[str, str]], sentence: str
) -> None:
    hub.refuse_listing = refusal
    assert sentence in describe(hub.url, tmp_path)


def test_invalid_token_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.refuse_listing = (401, {"X-Error-Message": "Invalid credentials in Authorization header"})
    said = describe(hub.url, tmp_path, HF_TOKEN="hf_expired")
    assert "the token in use does not open it" in said and "set HF_TOKEN to a valid token" in said


@pytest.mark.parametrize("token", [None, "hf_unlucky"])
def test_gated_files_say_whether_a_token_was_used(
    hub: Hub, tmp_path: Path, token: str | None
) -> None:
    hub.refuse_files = (401 if token is None else 403, GATED)
    said = describe(hub.url, tmp_path, **({"HF_TOKEN": token} if token else {}))
    reason = "no token is set" if token is None else "the token in use does not open it"
    assert f"is gated and {reason}: accept its terms" in said
    assert hub.tokens == {None if token is None else f"Bearer {token}"}


def test_no_network_and_offline_mode_say_where_the_model_should_be(tmp_path: Path) -> None:
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        said = describe("http://127.0.0.1:9", tmp_path, **environment)
        assert f"is not in the cache {tmp_path}/hub and the hub cannot be reached" in said


def test_impossible_name_and_unwritable_cache_are_named(hub: Hub, tmp_path: Path) -> None:
    said = describe(hub.url, tmp_path, Model.of(name="a/b/c", revision=COMMIT))
    assert "'a/b/c' cannot be the name of a hub model" in said
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert f"cannot be kept in {blocked}/hub (Not a directory)" in describe(hub.url, blocked)


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cached model, laid out by hand, with two of its two weight files."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    folder = tmp_path / "hub" / "models--owner--model" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(FILES["config.json"])
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in set(index["weight_map"].values()):
        (folder / name).write_bytes(b"1234")
    return folder


def test_cached_model_is_found_without_the_client(snapshot: Path) -> None:
    assert cached_snapshot("owner/model", COMMIT) == model_folder(MODEL) == snapshot
    assert known_config(MODEL) == json.loads(FILES["config.json"])
    assert finding_message(MODEL) == "Find owner/model at 0123456789ab in the local cache"
    assert cached_snapshot("owner/model", COMMIT[::-1]) is None


def test_interrupted_download_counts_as_none(snapshot: Path, tmp_path: Path) -> None:
    (snapshot / "two.safetensors").unlink()
    assert cached_snapshot("owner/model", COMMIT) is None and known_config(MODEL) is None
    assert finding_message(MODEL).startswith("Download owner/model")
    with pytest.raises(InputError, match="let HF_HOME name a folder that this machine shares"):
        model_folder(MODEL)
    said = describe("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert "is not whole in" in said and "the hub cannot be reached to finish it" in said


def test_cache_folder_named_outright_wins(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert cached_snapshot("owner/model", COMMIT) is None
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nowhere"))
    assert cached_snapshot("owner/model", COMMIT) == snapshot
