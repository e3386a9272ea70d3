"""Published weights: fetched when asked for, believed when their hash is right."""

import hashlib
import http.server
import json
import threading
from functools import partial
from pathlib import Path

import pytest
import torch

from smplcli.errors import ConfigError, IntegrityError, MissingFileError
from smplcli.models import pretrained
from smplcli.models.pretrained import Published, pretrained_file


@pytest.fixture
def site(tmp_path):
    """A folder, and the address at which it is served."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.fixture
def hub_dir(tmp_path):
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    yield tmp_path / "hub"
    torch.hub.set_dir(before)


def _publish(monkeypatch, site, *, digest=None):
    folder, address = site
    (folder / "net.pth").write_bytes(b"weights")
    digest = digest or hashlib.sha256(b"weights").hexdigest()[:8]
    table = {"resnet50": Published(f"{address}/net.pth", digest)}
    monkeypatch.setattr(pretrained, "IMAGENET", table)


def test_named_weights_are_fetched_once(monkeypatch, site, hub_dir):
    _publish(monkeypatch, site)

    first = pretrained_file("resnet50", "imagenet")
    (site[0] / "net.pth").unlink()

    assert first == hub_dir / "checkpoints/net.pth"
    assert first.read_bytes() == b"weights"
    assert pretrained_file("resnet50", "imagenet") == first


def test_weights_with_another_hash_are_refused_and_not_kept(monkeypatch, site, hub_dir):
    _publish(monkeypatch, site, digest="00000000")

    with pytest.raises(IntegrityError, match="not what was published"):
        pretrained_file("resnet50", "imagenet")

    assert list((hub_dir / "checkpoints").iterdir()) == []


def test_kept_weights_that_were_damaged_are_refused(monkeypatch, site, hub_dir):
    _publish(monkeypatch, site)
    pretrained_file("resnet50", "imagenet").write_bytes(b"damaged")

    with pytest.raises(IntegrityError, match="not the published weights"):
        pretrained_file("resnet50", "imagenet")


def test_without_a_network_the_error_names_the_file_and_its_place(monkeypatch, hub_dir):
    url = "http://127.0.0.1:9/resnet50-0676ba61.pth"
    monkeypatch.setattr(pretrained, "IMAGENET", {"resnet50": Published(url, "0676ba61")})

    with pytest.raises(MissingFileError, match=f"cannot be fetched: {url}") as caught:
        pretrained_file("resnet50", "imagenet")

    assert str(hub_dir / "checkpoints/resnet50-0676ba61.pth") in str(caught.value.hint)
    assert "backbone_weights" in str(caught.value.hint)


def test_weights_on_the_hub_are_checked_by_the_hubs_own_hash(monkeypatch, site, hub_dir):
    folder, address = site
    repository = folder / "timm/hrnet_w32.ms_in1k/resolve/main"
    repository.mkdir(parents=True)
    (repository / "model.safetensors").write_bytes(b"weights")
    listing = folder / "api/models/timm/hrnet_w32.ms_in1k/tree/main"
    listing.parent.mkdir(parents=True)
    monkeypatch.setattr(pretrained, "HUB", address)

    def publish(digest):
        listing.write_text(json.dumps([{"path": "model.safetensors", "lfs": {"oid": digest}}]))

    publish("0" * 64)
    with pytest.raises(IntegrityError):
        pretrained_file("hrnet_w32", "imagenet")
    publish(hashlib.sha256(b"weights").hexdigest())

    kept = pretrained_file("hrnet_w32", "imagenet")
    assert kept == hub_dir / "checkpoints/hrnet_w32.ms_in1k.safetensors"


def test_a_file_is_taken_as_it_is():
    assert pretrained_file("resnet50", Path("mine.pth")) == Path("mine.pth")


def test_weights_that_nobody_published_are_an_error():
    with pytest.raises(ConfigError, match="no dino weights of this backbone: resnet18"):
        pretrained_file("resnet18", "dino")
