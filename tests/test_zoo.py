"""Published models: the right file or nothing, from whichever address gives it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

import translate
from tiny import save_picture
from translate.bundle import save_bundle
from translate.cli.group import cli
from translate.cli.progress import Downloading
from translate.errors import TranslateError, UsageError
from translate.files import megabytes
from translate.host import Host, the_host
from translate.model import Card, Header, read_header
from translate.testing.installed import check_plugin
from translate.zoo import download as downloading

FakePlugin = Callable[..., str]

HOOKS = """
@hookimpl
def register_methods(register):
    net = __name__ + "_net:Gain"
    register(name="gain", summary="s", source="image", data="unpaired", factory=net)
    register(name="drawn", summary="s", source="noise", data="images", factory=net)

@hookimpl
def register_importers(register):
    register(name="gains", looks_for="scale.weight (n, n, 1, 1)", factory=__name__ + "_net:read")
"""
CATALOGUE = """
@hookimpl
def register_catalogues(register):
    register(file="zoo.toml")
"""
NET = """
from torch import nn
from translate import Export, Imported, Method

class Gain(Method):
    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.net = nn.Conv2d(3, 3, 1)

    def phases(self):
        return []

    def exports(self):
        return {"forth": Export(self.net, {"image": "a"})}

    def translate(self, network, source):
        return network(source["image"])

def read(tensors):
    if "scale.weight" not in tensors:
        return None
    weights = {key.removeprefix("scale."): tensor for key, tensor in tensors.items()}
    return Imported("gain", {}, "forth", weights, notes="a guess")
"""


GOOD = {
    "method": "gain",
    "summary": "makes negatives",
    "urls": ["https://example.org/net.pth"],
    "sha256": "0" * 64,
    "size": 1,
    "licence": "CC0",
    "source": "a test",
}


def entry(name: str, **more: object) -> str:
    """Return a catalogue with one model; ``None`` leaves something out."""
    said = {key: value for key, value in {**GOOD, **more}.items() if value is not None}
    return "".join([f"[{name}]\n", *(f"{k} = {json.dumps(v)}\n" for k, v in said.items())])


@dataclass
class Server:
    """A real server on this machine: what it says to each path, and what it was asked."""

    address: str = ""
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def gives(self, path: str, data: bytes, *, says: int | None = None, status: int = 200) -> str:
        """Answer with ``data``, and a length of ``says``; return the address."""

        def answer(to: BaseHTTPRequestHandler) -> None:
            to.send_response(status)
            to.send_header("Content-Length", str(len(data) if says is None else says))
            to.end_headers()
            to.wfile.write(data)

        return self.does(path, answer)

    def breaks_off(self, path: str, data: bytes, *, says: int) -> str:
        """Give a part of a chunk, as servers do that send what they have no length of."""

        def answer(to: BaseHTTPRequestHandler) -> None:
            to.protocol_version = "HTTP/1.1"
            to.send_response(200)
            to.send_header("Transfer-Encoding", "chunked")
            to.end_headers()
            to.wfile.write(b"%x\r\n" % says + data)
            to.close_connection = True

        return self.does(path, answer)

    def falls_silent(self, path: str, data: bytes, *, says: int) -> str:
        """Give only the beginning of an answer, and hold on until the test ends."""

        def answer(to: BaseHTTPRequestHandler) -> None:
            if data:
                to.send_response(200)
                to.send_header("Content-Length", str(says))
                to.end_headers()
                to.wfile.write(data)
            self.ended.wait(60)

        return self.does(path, answer)

    def does(self, path: str, answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        self.answers[path] = answer
        return f"{self.address}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    known = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append(self.path)
            with contextlib.suppress(OSError):  # who asked has gone
                if self.path in known.answers:
                    known.answers[self.path](self)
                else:
                    self.send_error(404)

        def log_message(self, *args: Any) -> None:
            pass

    real = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    real.daemon_threads = True
    known.address = f"http://127.0.0.1:{real.server_port}"
    thread = threading.Thread(target=real.serve_forever, args=(0.02,))
    thread.start()
    yield known
    known.ended.set()
    real.shutdown()
    real.server_close()
    thread.join()


@pytest.fixture
def checkpoint(tmp_path: Path) -> bytes:
    """Another project's checkpoint, of a network that makes negatives."""
    weights = {"scale.weight": -torch.eye(3)[..., None, None], "scale.bias": torch.zeros(3)}
    torch.save({"state_dict": weights}, tmp_path / "net.pth")
    return (tmp_path / "net.pth").read_bytes()


Publish = Callable[..., None]


@pytest.fixture
def publish(fake_plugin: FakePlugin, tmp_path: Path, checkpoint: bytes) -> Publish:
    """Return ``publish(*urls, data=..., **more)``, which puts "negative" into a catalogue."""

    def write(*urls: str, data: bytes = checkpoint, **more: Any) -> None:
        file = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        text = entry("negative", **{"urls": urls, "importer": "gains", **file, **more})
        (tmp_path / "site" / "zoo.toml").write_text(text)
        if list((tmp_path / "site").glob("*.dist-info")):
            the_host.cache_clear()  # which then reads the catalogue anew
        else:
            fake_plugin(HOOKS + CATALOGUE, net=NET)

    return write


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="translate")


def left(home: Path) -> list[Path]:
    """Return everything in the folder of downloads, hidden or not."""
    return sorted((home / "downloads").rglob("*"))


def test_a_published_model_is_listed_and_described_without_being_asked_for(
    server: Server, publish: Publish, checkpoint: bytes
) -> None:
    url = server.gives("/net.pth", checkpoint)
    publish(url, size=67_040_989)
    (line,) = (line for line in run("models").stdout.splitlines() if line.startswith("negative"))
    assert re.split("  +", line) == [
        *("negative", "gain", "available, 64 MB", "other", "makes negatives")
    ]
    (model,) = (m for m in json.loads(run("models", "--json").stdout) if m["name"] == "negative")
    assert (model["kind"], model["published"]["urls"]) == ("available", [url])
    told = run("info", "negative").stdout
    for text in ("available", "67,040,989", "CC0", "a test", url):
        assert text in told
    assert json.loads(run("info", "negative", "--json").stdout)["bytes"] == 67_040_989
    assert "negative" in the_host().model_names()
    assert server.asked == []


def test_first_use_says_what_it_downloads_and_later_ones_use_what_is_there(
    server: Server, publish: Publish, checkpoint: bytes, tmp_path: Path, home: Path
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    picture = save_picture(tmp_path / "a.png", seed=0)
    first = run("negative", picture, "-o", tmp_path / "b.png", "--device", "cpu")
    assert first.exit_code == 0, first.output
    size = megabytes(len(checkpoint))
    assert first.stderr.startswith(f"negative: downloading {size} from 127.0.0.1 (CC0)\n")
    assert (tmp_path / "b.png").exists()
    second = run("negative", picture, "-o", tmp_path / "c.png", "--device", "cpu", "--offline")
    assert second.exit_code == 0, second.output
    assert "downloading" not in second.stderr
    assert server.asked == ["/net.pth"]
    assert left(home) == [home / "downloads" / "negative.safetensors"]
    assert "downloaded" in run("models").stdout


def test_a_downloaded_model_says_where_it_is_from(
    server: Server, publish: Publish, checkpoint: bytes, home: Path
) -> None:
    url = server.gives("/net.pth", checkpoint)
    publish(url)
    result = run("download", "negative")
    assert result.exit_code == 0, result.output
    path = home / "downloads" / "negative.safetensors"
    assert result.stderr.splitlines()[-1] == f"negative: wrote {path}"
    card = read_header(path).card
    assert (card.summary, card.licence, card.source) == ("makes negatives", "CC0", "a test")
    for text in ("a guess", url, hashlib.sha256(checkpoint).hexdigest()):
        assert text in card.notes
    assert the_host().model("negative").kind == "downloaded"
    assert "is here already" in run("download", "negative").stderr
    assert run("info", "negative").stdout.count(url) == 1


def test_python_downloads_too(
    server: Server, publish: Publish, checkpoint: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    model = translate.load("negative", device="cpu", precision="fp32")
    x = torch.rand(3, 16, 16) * 2 - 1
    assert torch.allclose(model(x), -x, atol=1e-6)
    assert "negative: downloading" in capsys.readouterr().err


def test_a_bundle_of_ours_needs_no_importer(
    server: Server, publish: Publish, tmp_path: Path, home: Path
) -> None:
    weights = {"weight": -torch.eye(3)[..., None, None], "bias": torch.zeros(3)}
    card = Card(summary="old", data="pictures", notes="noted")
    file = tmp_path / "ours.safetensors"
    save_bundle(file, Header(method="gain", export="forth", card=card), weights)
    publish(server.gives("/ours", file.read_bytes()), data=file.read_bytes(), importer=None)
    assert run("download", "negative").exit_code == 0
    told = read_header(home / "downloads" / "negative.safetensors").card
    assert (told.summary, told.data) == ("makes negatives", "pictures")
    assert told.notes.startswith("noted; made of http://127.0.0.1")


def test_an_address_may_lead_to_another(
    server: Server, publish: Publish, checkpoint: bytes
) -> None:
    there = server.gives("/there", checkpoint)

    def lead(to: BaseHTTPRequestHandler) -> None:
        to.send_response(302)
        to.send_header("Location", there)
        to.send_header("Content-Length", "0")
        to.end_headers()

    publish(server.does("/here", lead))
    assert run("download", "negative").exit_code == 0
    assert server.asked == ["/here", "/there"]


def test_a_slow_server_is_waited_for_as_long_as_it_goes_on(
    server: Server, publish: Publish, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "_SILENT_S", 1.5)

    def drip(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("Content-Length", str(len(checkpoint)))
        to.end_headers()
        for begin in range(0, len(checkpoint), 500):
            time.sleep(0.5)
            to.wfile.write(checkpoint[begin : begin + 500])

    publish(server.does("/slow", drip))
    began = time.monotonic()
    assert run("download", "negative").exit_code == 0
    assert time.monotonic() - began > 1.5


def _changed(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


# What is wrong with what the server says, and how that is told.
WRONG: dict[str, tuple[Callable[[Server, bytes], str], str]] = {
    "another file": (lambda s, d: s.gives("/x", _changed(d)), "another file: its SHA-256 is "),
    "truncated": (lambda s, d: s.gives("/x", d[:700], says=len(d)), r"cut short \(700 of "),
    "shorter": (lambda s, d: s.gives("/x", d[:700]), r"cut short \(700 of [\d,]+ bytes\)"),
    "chunked": (lambda s, d: s.breaks_off("/x", d[:700], says=len(d)), r"cut short \(700 of "),
    "longer": (lambda s, d: s.gives("/x", d + bytes(10**6)), "another file, longer than "),
    "nothing": (lambda s, d: s.gives("/x", b""), r"cut short \(0 of "),
    "absent": (lambda s, d: f"{s.address}/gone", "404 Not Found"),
    "broken": (lambda s, d: s.gives("/x", b"", status=503), "503 Service Unavailable"),
    "silent": (lambda s, d: s.falls_silent("/x", b"", says=0), "silent for 1 s"),
    "stops": (lambda s, d: s.falls_silent("/x", d[:700], says=len(d)), "silent for 1 s"),
    "no server": (lambda s, d: "http://127.0.0.1:9/x", "[Cc]onnection refused"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_the_file_leaves_nothing_behind(
    wrong: str,
    server: Server,
    publish: Publish,
    checkpoint: bytes,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer, reason = WRONG[wrong]
    if "silent" in reason:
        monkeypatch.setattr(downloading, "_SILENT_S", 1.0)
    url = answer(server, checkpoint)
    publish(url)
    result = run("download", "negative")
    assert result.exit_code == 1
    _, error = result.stderr.splitlines()
    assert re.search(f"negative cannot be downloaded: {re.escape(url)}: {reason}", error)
    assert error.endswith("translate import FILE --name negative")
    assert left(home) == []
    assert the_host().known_model("negative").kind == "available"


@pytest.mark.parametrize("wrong", ["another file", "stops", "absent"])
def test_a_mirror_stands_in_for_an_address_that_fails(
    wrong: str,
    server: Server,
    publish: Publish,
    checkpoint: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer, reason = WRONG[wrong]
    if "silent" in reason:
        monkeypatch.setattr(downloading, "_SILENT_S", 1.0)
    mirror = server.gives("/mirror", checkpoint)
    publish(answer(server, checkpoint), mirror)
    result = run("download", "negative")
    assert result.exit_code == 0, result.output
    _, told, _ = result.stderr.splitlines()
    assert re.search(reason, told)
    assert told.endswith("; trying 127.0.0.1")
    assert mirror in read_header(the_host().model("negative").path).card.notes


def test_where_all_mirrors_fail_each_is_named_with_its_reason(
    server: Server, publish: Publish, checkpoint: bytes, home: Path
) -> None:
    urls = [f"{server.address}/gone", server.gives("/short", checkpoint[:50])]
    publish(*urls)
    error = run("download", "negative").stderr.splitlines()[-1]
    assert f"{urls[0]}: 404 Not Found; {urls[1]}: cut short" in error
    assert left(home) == []


def test_a_file_that_goes_on_for_ever_is_not_read_for_ever(
    server: Server, publish: Publish, checkpoint: bytes
) -> None:
    sent: list[int] = []

    def pour(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.end_headers()  # without a length: until the connection ends
        for _ in range(10_000):
            to.wfile.write(bytes(1 << 16))
            sent.append(1 << 16)

    publish(server.does("/endless", pour))
    assert "longer than" in run("download", "negative").stderr
    assert sum(sent) < 10**8


WAYS: dict[str, Callable[[Path], Result]] = {
    "run": lambda p: run("negative", p / "a.png", "-o", p / "b.png", "--offline"),
    "evaluate": lambda p: run("evaluate", "negative", "--data", p, "--offline"),
    "walk": lambda p: run("walk", "negative", "1", "2", "-o", p / "w.png", "--offline"),
    "train": lambda p: run(
        *("train", "cyclegan", "--data", p, "--out", p / "run", "--init", "negative", "--dry-run")
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_offline_says_what_is_missing_and_asks_nobody(
    way: str,
    server: Server,
    publish: Publish,
    checkpoint: bytes,
    tmp_path: Path,
) -> None:
    url = server.gives("/net.pth", checkpoint)
    publish(url, method="drawn" if way == "walk" else "gain")
    for name in ("a.png", "trainA/1.png", "trainB/1.png", "testA/1.png", "testB/1.png"):
        save_picture(tmp_path / name, seed=1, size=(64, 64))
    result = WAYS[way](tmp_path)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert "model negative is not downloaded" in line
    assert url in line
    assert "TRANSLATE_OFFLINE" not in os.environ  # the option ends with its command
    assert server.asked == []


def test_the_environment_keeps_python_off_the_network(
    server: Server, publish: Publish, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    monkeypatch.setenv("TRANSLATE_OFFLINE", "1")
    with pytest.raises(UsageError, match="is not downloaded"):
        translate.load("negative")
    assert run("download", "negative").exit_code == 2
    assert server.asked == []
    monkeypatch.setenv("TRANSLATE_OFFLINE", "0")
    assert run("download", "negative", "--quiet").stderr == ""
    assert server.asked == ["/net.pth"]


def test_a_dry_run_downloads_nothing_and_says_what_would_be_written(
    server: Server, publish: Publish, checkpoint: bytes, tmp_path: Path
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    save_picture(tmp_path / "a.png", seed=0)
    result = run("negative", tmp_path / "a.png", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "a-negative.png (write)" in result.stdout
    publish(f"{server.address}/net.pth", method="drawn")
    result = run("negative", "--dry-run")
    assert (result.exit_code, server.asked) == (2, [])
    assert "'translate download negative'" in result.stderr


def test_a_mistake_is_told_before_anything_is_downloaded(
    server: Server, publish: Publish, checkpoint: bytes, tmp_path: Path
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    assert run("negative", tmp_path / "none.png").exit_code == 2
    assert run("negative", tmp_path, "--count", "3").exit_code == 2
    assert server.asked == []


def test_a_file_that_cannot_become_the_model_is_not_kept(
    server: Server, publish: Publish, checkpoint: bytes, home: Path, tmp_path: Path
) -> None:
    url = server.gives("/net.pth", checkpoint)
    publish(url, importer="nobody's")
    assert 'needs the importer "nobody\'s"' in run("download", "negative").stderr
    assert server.asked == []
    publish(url, method="drawn")
    assert "is of the method 'gain', not 'drawn'" in run("download", "negative").stderr
    publish(url, importer=None)
    assert "what was downloaded: not a safetensors file" in run("download", "negative").stderr
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    other = (tmp_path / "other.pth").read_bytes()
    publish(server.gives("/other", other), data=other)
    result = run("download", "negative")
    assert result.exit_code == 1
    assert "what was downloaded: no importer knows its layout" in result.stderr
    assert left(home) == []


def test_ctrl_c_leaves_nothing_behind(
    server: Server, publish: Publish, checkpoint: bytes, home: Path, tmp_path: Path
) -> None:
    data = checkpoint + bytes(10**6)
    publish(server.falls_silent("/slow", data[: len(data) // 2], says=len(data)), data=data)
    path = os.pathsep.join([str(tmp_path / "site"), *sys.path])
    child = subprocess.Popen(
        [sys.executable, "-m", "translate", "download", "negative"],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it runs in the background ignore Ctrl-C, and children inherit that.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    until = time.monotonic() + 60
    while not any(file.is_file() and file.stat().st_size for file in left(home)):
        assert time.monotonic() < until
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in said
    assert left(home) == []


def test_two_that_download_at_once_do_not_meet(
    server: Server, publish: Publish, checkpoint: bytes, home: Path
) -> None:
    both = threading.Barrier(2)

    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("Content-Length", str(len(checkpoint)))
        to.end_headers()
        to.wfile.write(checkpoint[:500])
        both.wait(timeout=10)
        to.wfile.write(checkpoint[500:])

    publish(server.does("/net.pth", answer))
    model = the_host().known_model("negative")
    seen: list[int] = []
    threads = [
        threading.Thread(
            target=downloading.download, args=[model], kwargs={"progress": seen.append}
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (server.asked, seen.count(len(checkpoint))) == (["/net.pth"] * 2, 2)
    assert left(home) == [model.path]
    read_header(model.path)


def test_a_full_disk_is_one_line_and_leaves_nothing(
    server: Server, publish: Publish, checkpoint: bytes, home: Path
) -> None:
    resource = pytest.importorskip("resource")
    publish(server.gives("/net.pth", checkpoint), server.gives("/mirror", checkpoint))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        result = run("download", "negative")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.exit_code == 1
    assert "negative.safetensors: cannot be written: file too large" in result.stderr
    assert server.asked == ["/net.pth"]  # no mirror helps
    assert left(home) == []


def test_a_folder_that_cannot_be_made_is_one_line(
    server: Server, publish: Publish, checkpoint: bytes, home: Path
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    home.mkdir()
    (home / "downloads").write_bytes(b"")
    result = run("download", "negative")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_what_a_crash_left_behind_is_swept_up_and_what_is_under_way_is_not(
    server: Server, publish: Publish, checkpoint: bytes, home: Path
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    old, new = home / "downloads" / ".negative-old", home / "downloads" / ".negative-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "download").write_bytes(b"half")
    os.utime(old, (0, 0))
    assert run("download", "negative").exit_code == 0
    assert not old.exists()
    assert (new / "download").exists()
    assert list(the_host().models).count("negative") == 1


def test_removing_a_downloaded_model_makes_it_available_again(
    server: Server, publish: Publish, checkpoint: bytes, home: Path
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    refused = run("remove", "negative")
    assert refused.exit_code == 2
    assert "is not downloaded" in refused.stderr
    run("download", "negative")
    assert run("remove", "negative").exit_code == 0
    assert left(home) == []
    assert the_host().known_model("negative").kind == "available"


def test_a_downloaded_model_outlives_its_catalogue(
    server: Server, publish: Publish, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    run("download", "negative")
    monkeypatch.setenv("TRANSLATE_DISABLE", "other")
    the_host.cache_clear()
    assert the_host().model("negative").kind == "downloaded"
    assert the_host().models["negative"].summary == "makes negatives"
    assert run("remove", "negative").exit_code == 0
    with pytest.raises(UsageError, match="no model is named"):
        the_host().model("negative")


def test_the_file_may_come_another_way_and_then_goes_before_the_catalogue(
    server: Server, publish: Publish, checkpoint: bytes, tmp_path: Path, home: Path
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    result = run("import", tmp_path / "net.pth", "--name", "negative")
    assert result.exit_code == 0, result.output
    assert the_host().model("negative").kind == "own"
    assert "is here already" in run("download", "negative").stderr
    assert server.asked == []


BROKEN: dict[str, tuple[str, Any, str]] = {
    "no checksum": ("sha256", None, "sha256"),
    "short checksum": ("sha256", "0" * 63, "sha256"),
    "no digits": ("sha256", "g" * 64, "sha256"),
    "no address": ("urls", [], "urls"),
    "open to all": ("urls", ["http://example.org/a"], "does not begin with https://"),
    "like this machine": ("urls", ["http://127.0.0.1.example.org/a"], "https://"),
    "a file": ("urls", ["file:///etc/passwd"], "https://"),
    "no host": ("urls", ["https:///a"], "https://"),
    "empty": ("size", 0, "size"),
    "two lines": ("summary", "a\nb", "summary"),
    "blank": ("licence", "  ", "licence"),
    "misspelt": ("license", "l", "did you mean licence"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_catalogue_takes_its_plugin_out(
    kind: str, fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    key, value, says = BROKEN[kind]
    (tmp_path / "site" / "zoo.toml").write_text(entry("negative", **{key: value}))
    fake_plugin(HOOKS + CATALOGUE, net=NET)
    status = Host().plugins["other"]
    assert status.state == "broken"
    assert status.reason.startswith("catalogue zoo.toml: negative: ")
    assert says in status.reason
    assert "\n" not in status.reason
    assert "gain" not in Host().methods


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "catalogue zoo.toml: No such file"),
        ("[negative\n", "catalogue zoo.toml: not a TOML file: .*line 1"),
        ("négative".encode("latin-1"), "catalogue zoo.toml: not a TOML file: "),
        ("negative = 1", "catalogue zoo.toml: negative: not a table"),
        (entry("train"), "catalogue zoo.toml: model 'train': the name is reserved"),
        (entry('"../up"'), "catalogue zoo.toml: model '../up': a name is one word"),
        (entry("horse2zebra"), "model 'horse2zebra' is already brought by plugin"),
    ],
)
def test_a_catalogue_that_cannot_be_read_or_takes_a_name_says_so(
    text: str | bytes | None, says: str, fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    if text is not None:
        data = text.encode() if isinstance(text, str) else text
        (tmp_path / "site" / "zoo.toml").write_bytes(data)
    fake_plugin(HOOKS + CATALOGUE, net=NET)
    assert re.match(says, Host().plugins["other"].reason)


def test_the_quick_check_of_a_plugin_looks_at_what_its_catalogue_needs(
    fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    texts = [
        entry("fine", method="cyclegan", importer="GAN-Compression-mobile-resnet"),
        entry("unread", method="cyclegan", importer="nobody's"),
        entry("unrun", method="nobody's"),
    ]
    (tmp_path / "site" / "zoo.toml").write_text("\n".join(texts))
    fake_plugin(CATALOGUE)
    host = the_host()
    states = {finding.thing: finding.state for finding in check_plugin(host, host.plugins["other"])}
    wanted = {"model fine": "ok", "model unread": "failed", "model unrun": "failed"}
    assert states == {"hooks": "ok", **wanted}


class Terminal(io.StringIO):
    """Standard error, where somebody looks at it."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_shows_how_much_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with Downloading(4 << 20, quiet=False) as shown:
        shown.print("from somewhere")
        assert screen.getvalue() == "from somewhere\n"  # the bar is not there yet
        shown.advance(1 << 20)
        shown.print("from [elsewhere]")
        shown.advance(4 << 20)
        said = screen.getvalue()
    assert "4.0 MB of 4.0 MB" in said
    assert "from [elsewhere]\n" in said
    assert screen.getvalue() == said  # it ended with the last byte


def test_our_catalogues_name_importers_and_methods_that_are_there() -> None:
    host = Host()
    published = {name: m.published for name, m in host.models.items() if m.published}
    assert {"realesrgan-x4plus", "realesrgan-x2plus", "realesr-animevideo"} <= set(published)
    for name, model in published.items():
        assert model.method in host.methods, name
        assert model.importer is None or model.importer in host.importers, name


def test_listing_and_planning_import_neither_torch_nor_what_downloads(
    server: Server, publish: Publish, checkpoint: bytes, tmp_path: Path
) -> None:
    publish(server.gives("/net.pth", checkpoint))
    save_picture(tmp_path / "a.png", seed=0)
    words = [["models"], ["info", "negative"], ["negative", str(tmp_path / "a.png"), "-n"]]
    code = (
        "import sys\nfrom translate.cli.group import cli\n"
        f"for words in {words}:\n"
        "    try: cli.main(words, prog_name='translate')\n"
        "    except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'pooch', 'requests', 'rich'} & set(sys.modules)"
    )
    path = os.pathsep.join([str(tmp_path / "site"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)


def test_a_failure_in_python_is_one_of_ours(server: Server, publish: Publish) -> None:
    publish(f"{server.address}/gone")
    with pytest.raises(TranslateError, match="404 Not Found"):
        translate.load("negative")
