"""A model file that is not what it should be: the reason is told, nothing in it runs, and the daemon never says it is ready."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import socket
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from emwatch.classify.bundles.bundle import EXTRAS, FILES, default_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Program

pytestmark = pytest.mark.fault


class Canary:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def changed_card(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    card = yaml.safe_load((bundle / "card.yaml").read_text(encoding="utf-8"))
    change(card)
    (bundle / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")


def pinned(bundle: Path, name: str, content: bytes) -> None:
    """Exchange a file, and let the card say that this is right: an attacker can write cards, too."""
    (bundle / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    changed_card(bundle, lambda card: card["files"][name].update(sha256=digest))


def hash_mismatch(bundle: Path, _canary: Path) -> None:
    with (bundle / "backbone.tflite").open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"\xff")


def truncated(bundle: Path, _canary: Path) -> None:
    pinned(bundle, "backbone.tflite", (bundle / "backbone.tflite").read_bytes()[:1_000_000])


def world_writable(bundle: Path, _canary: Path) -> None:
    (bundle / "head.npz").chmod(0o666)


def linked(bundle: Path, canary: Path) -> None:
    (bundle / "head.npz").rename(canary.with_name("elsewhere"))
    (bundle / "head.npz").symlink_to(canary.with_name("elsewhere"))


def pickled_head(bundle: Path, canary: Path) -> None:
    file = io.BytesIO()
    np.savez(file, weights=np.array([Canary(canary)], dtype=object), allow_pickle=True)  # type: ignore[arg-type]
    pinned(bundle, "head.npz", file.getvalue())


def pickle_for_a_head(bundle: Path, canary: Path) -> None:
    pinned(bundle, "head.npz", pickle.dumps(Canary(canary)))


def shape_bomb(bundle: Path, _canary: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        header = str({"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}).encode().ljust(117) + b"\n"
        for name in ("weights", "bias", "early_weights", "temperature"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00\x76\x00" + header)
    pinned(bundle, "head.npz", file.getvalue())


def python_in_the_card(bundle: Path, canary: Path) -> None:
    text = (bundle / "card.yaml").read_text(encoding="utf-8")
    (bundle / "card.yaml").write_text(f"evil: !!python/object/apply:os.mknod [{canary}]\n{text}", encoding="utf-8")


def alias_bomb(bundle: Path, _canary: Path) -> None:
    (bundle / "card.yaml").write_text("a: &a [x, x]\nb: [*a, *a]\n", encoding="utf-8")


def wrong_classes(bundle: Path, _canary: Path) -> None:
    changed_card(bundle, lambda card: card["labels"].pop())


def other_pixels(bundle: Path, _canary: Path) -> None:
    changed_card(bundle, lambda card: card["preprocessing"].update(id="nearest-squash-299"))


def no_graph(bundle: Path, _canary: Path) -> None:
    pinned(bundle, "backbone.tflite", b"TFL3" * 1000)


def keras_for_a_graph(bundle: Path, _canary: Path) -> None:
    pinned(bundle, "backbone.tflite", b"\x89HDF\r\n\x1a\n" + bytes(4096))


def head_of_another_backbone(bundle: Path, _canary: Path) -> None:
    with np.load(bundle / "head.npz") as arrays:
        found = {name: arrays[name] for name in arrays.files}
    found["weights"] = np.ascontiguousarray(found["weights"][::-1])
    file = io.BytesIO()
    np.savez(file, **found)
    pinned(bundle, "head.npz", file.getvalue())


CASES: dict[Callable[[Path, Path], None], str] = {
    hash_mismatch: "backbone.tflite is not the file the card was made for",
    truncated: "backbone.tflite cannot be run by LiteRT",
    world_writable: "head.npz may be changed by every user",
    linked: "head.npz cannot be opened",
    pickled_head: "head.npz",
    pickle_for_a_head: "head.npz cannot be read as a head",
    shape_bomb: "head.npz cannot be read as a head: its arrays claim more than",
    python_in_the_card: "card.yaml cannot be read: expected plain YAML",
    alias_bomb: "aliases are not allowed",
    wrong_classes: "'labels' is",
    other_pixels: "'preprocessing.id' is 'nearest-squash-299'",
    no_graph: "backbone.tflite",
    keras_for_a_graph: "backbone.tflite cannot be run by LiteRT",
    head_of_another_backbone: "fails its self-test",
}


@pytest.mark.parametrize("spoil", CASES, ids=lambda spoil: spoil.__name__)
def test_a_hostile_bundle_is_refused_with_the_reason_runs_nothing_and_is_never_ready(
    emwatch: Program, spoil: Callable[[Path, Path], None]
) -> None:
    bundle = Path(shutil.copytree(default_directory(), emwatch.home / "hostile"))
    canary = emwatch.home / "canary"
    spoil(bundle, canary)
    archive = emwatch.home / "hostile.zip"
    with zipfile.ZipFile(archive, "w") as written:
        sums = ""
        for name in (*FILES, *EXTRAS):
            content = (bundle / name).read_bytes()
            sums += f"{hashlib.sha256(content).hexdigest()}  {name}\n"
            written.writestr(name, content)
        written.writestr("SHA256SUMS", sums)
    told = [
        emwatch("model", "activate", "--force", bundle, expect=1).stderr,
        emwatch("model", "import", bundle, expect=1).stderr,
    ]
    if spoil not in {world_writable, linked}:  # which no archive can carry
        told.append(emwatch("model", "import", archive, expect=1).stderr)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(os.fspath(emwatch.home / "notify"))
        manager.setblocking(False)
        daemon = emwatch.start("run", "--bundle", bundle, "--plain", NOTIFY_SOCKET=os.fspath(emwatch.home / "notify"))
        told.append(daemon.communicate(timeout=60)[1])
        said = b""
        while True:
            try:
                said += manager.recv(4096)
            except BlockingIOError:
                break

    assert daemon.returncode == 1
    assert b"READY" not in said
    for words in told:
        assert CASES[spoil] in words, words
        assert "Traceback" not in words
    assert not canary.exists()
    listed = json.loads(emwatch("model", "list", "--json").stdout)["bundles"]
    assert [each["in_use"] for each in listed] == [True]
