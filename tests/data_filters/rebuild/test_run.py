"""A selection fetched again from a real server on which some images have changed or gone."""

import hashlib
import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_filters.config import DownloadImages
from data_filters.download.origin import LoopbackOrigin
from data_filters.io.tar import read_tar
from data_filters.rebuild.run import rebuild
from data_filters.records import KEY_LENGTH, MANIFEST, content_id

LIMITS = {
    "distributor": "multiprocessing", "rows_per_shard": 20, "shards_per_process": 5, "threads": 4,
    "max_per_host": 8, "max_idle_connections": 8, "max_idle_seconds": 5.0,
    "timeout_seconds": 2.0, "total_timeout_seconds": 3.0, "hang_seconds": 30.0,
    "worker_restarts": 0, "max_bytes": 200_000, "max_pixels": 1_000_000, "retries": 0,
    "backoff_seconds": 0.1, "max_backoff_seconds": 1.0, "dns_cache_seconds": 60.0,
    "allowed_networks": ["127.0.0.0/8"], "user_agent": "franca", "robots_txt": True,
    "verify_md5": False, "resize": None,
    "min_success_rate": 0.5,
}  # fmt: skip
PER_SHARD = 3


class Web:
    """A folder of images, and a selection of them as the first who fetched it would publish it."""

    def __init__(self, folder: Path, images: dict[str, bytes]) -> None:
        self.folder, self.images = folder / "web", images
        self.folder.mkdir()
        for name, data in images.items():
            (self.folder / name).write_bytes(data)
        self.manifest = folder / "manifest.parquet"
        sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in images.items()}
        self.write_manifest(sha256)

    def write_manifest(self, sha256: dict[str, str]) -> None:
        rows = [
            {
                "key": sha256[name][:KEY_LENGTH],
                "row_id": content_id(f"http://{{origin}}/{name}"),
                "url": f"http://{{origin}}/{name}",
                "caption": f"a picture called {name}",
                "sha256": sha256[name],
                "original_md5": hashlib.md5(self.images[name]).hexdigest(),
                "shard": place // PER_SHARD,
                "width": 64,
                "height": 48,
            }
            for place, name in enumerate(sorted(self.images, key=sha256.__getitem__))
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST), self.manifest)

    def rebuild(self, output: Path, faults: dict[str, str] | None = None, **changes):
        served = lambda: LoopbackOrigin(self.folder, faults or {})  # noqa: E731
        limits = DownloadImages.model_validate({**LIMITS, **changes})
        return rebuild(self.manifest, limits, output=output, embedded_world=served)


@pytest.fixture
def web(tmp_path, jpeg):
    images = {f"{n}.jpg": jpeg(n, width=64 + 16 * (n % 3), height=48) for n in range(8)}
    return Web(tmp_path, images)


@pytest.fixture
def published(web, tmp_path):
    """The folder of the selection's shards."""
    assert web.rebuild(tmp_path / "published") == (8, 8, 0, {}, 0)
    return tmp_path / "published"


def digests(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.glob("shard-*.tar"))
    }


def test_where_all_is_the_same_the_shards_are_the_same_to_the_byte(web, published, tmp_path):
    assert sorted(digests(published)) == [f"shard-00000{n}.tar" for n in range(3)]
    assert not (published / "unfinished").exists()
    assert pq.read_table(published / "manifest.parquet").equals(pq.read_table(web.manifest))
    web.rebuild(tmp_path / "again", rows_per_shard=3, threads=1)
    assert digests(tmp_path / "again") == digests(published)
    for row in pq.read_table(published / "index.parquet").to_pylist():
        with (published / f"shard-{row['shard']:06d}.tar").open("rb") as tar:
            tar.seek(row["offset"])
            data = tar.read(row["size"])
        assert hashlib.sha256(data).hexdigest() == row["sha256"]


def test_changed_gone_and_same_are_told_apart(web, tmp_path, jpeg):
    (web.folder / "0.jpg").write_bytes(jpeg(90, width=64, height=48))  # somebody else's image
    (web.folder / "1.jpg").unlink()
    (web.folder / "2.jpg").write_bytes(b"<html>for sale</html>")
    (web.folder / "robots.txt").write_text("User-agent: *\nDisallow: /4\n")
    faults = {"/3.jpg": "opt_out", "/7.jpg": "timeout"}
    summary = web.rebuild(tmp_path / "later", faults)
    gone = {"http_404": 1, "not_an_image": 1, "opted_out": 1, "robots_denied": 1, "timeout": 1}
    assert summary == (8, 2, 1, gone, 0)
    assert summary.share_same == 0.25
    written = json.loads((tmp_path / "later" / "link_rot.json").read_text())
    assert written == summary._asdict()
    rows = pq.read_table(tmp_path / "later" / "link_rot.parquet").to_pylist()
    found = {row["url"][-5]: row for row in rows}
    assert {name: row["verdict"] for name, row in found.items()} == {
        "0": "changed", "5": "same", "6": "same", **dict.fromkeys("12347", "gone"),
    }  # fmt: skip
    assert found["0"]["detail"] == hashlib.md5((web.folder / "0.jpg").read_bytes()).hexdigest()
    assert found["1"]["reason"] == "http_404"
    assert found["0"]["found_sha256"] is None
    assert found["5"]["found_sha256"] == found["5"]["sha256"]
    names = set()
    for file in (tmp_path / "later").glob("shard-*.tar"):
        with file.open("rb") as tar:
            names |= {member.name.partition(".")[0] for member, _ in read_tar(tar, name=file.name)}
    assert names == {found[name]["sha256"][:KEY_LENGTH] for name in "56"}


def test_a_shard_that_is_lost_whole_leaves_the_others_their_numbers(web, published, tmp_path):
    for row in pq.read_table(web.manifest, filters=[("shard", "=", 1)]).to_pylist():
        (web.folder / row["url"].rpartition("/")[2]).unlink()
    web.rebuild(tmp_path / "later")
    whole = digests(published)
    del whole["shard-000001.tar"]
    assert digests(tmp_path / "later") == whole


def test_shrunk_images_are_the_same_where_their_originals_are(web, tmp_path):
    resize = {"mode": "keep_ratio", "size": 32, "quality": 90}
    one, two = tmp_path / "one", tmp_path / "two"
    assert web.rebuild(one, resize=resize) == (8, 8, 0, {}, 8)  # other bytes than published
    rows = pq.read_table(one / "link_rot.parquet").to_pylist()
    web.write_manifest({row["url"].rpartition("/")[2]: row["found_sha256"] for row in rows})
    assert web.rebuild(two, resize=resize) == (8, 8, 0, {}, 0)
    for row in pq.read_table(two / "index.parquet").to_pylist():
        with (two / f"shard-{row['shard']:06d}.tar").open("rb") as tar:
            tar.seek(row["offset"])
            assert min(Image.open(io.BytesIO(tar.read(row["size"]))).size) == 32


def test_a_killed_run_continues_with_what_it_has(web, published, tmp_path, monkeypatch):
    def killed(*_args, **_more):
        raise KeyboardInterrupt

    output = tmp_path / "halfway"
    with monkeypatch.context() as patch:
        patch.setattr("data_filters.rebuild.run.declare_fetched", killed)
        with pytest.raises(KeyboardInterrupt):
            web.rebuild(output, rows_per_shard=3)
    shutil.rmtree(web.folder)  # nothing is there to fetch any more: it must have been kept
    web.folder.mkdir()
    assert web.rebuild(output, rows_per_shard=3).same == 8
    assert digests(output) == digests(published)


def test_without_a_network_nothing_is_said_of_the_web(web, published, tmp_path):
    offline = {f"/{name}": "timeout" for name in web.images}
    with pytest.raises(
        ConnectionError, match=r"manifest.parquet: not one of its hosts could be reach"
    ):
        web.rebuild(tmp_path / "again", offline, timeout_seconds=0.3, robots_txt=False)
    assert [file.name for file in (tmp_path / "again").iterdir()] == ["unfinished"]
    assert web.rebuild(tmp_path / "again").same == 8
    assert digests(tmp_path / "again") == digests(published)


def test_another_manifest_or_folder_is_refused(web, published, tmp_path):
    for place in (published, web.manifest):
        with pytest.raises(ValueError, match=f"{place}: not an empty folder; name a new one"):
            web.rebuild(place)
    (tmp_path / "begun" / "unfinished").mkdir(parents=True)
    note = {"sha256": hashlib.sha256(web.manifest.read_bytes()).hexdigest()}
    (tmp_path / "begun" / "unfinished" / "selection.json").write_text(json.dumps(note))
    web.write_manifest(dict.fromkeys(web.images, "0" * 64))
    with pytest.raises(ValueError, match=r"begun: begun with another manifest; name a new folder"):
        web.rebuild(tmp_path / "begun")
    web.manifest = tmp_path / "nowhere.parquet"
    for folder in ("begun", "new"):
        with pytest.raises(FileNotFoundError, match=r"nowhere.parquet: no such file"):
            web.rebuild(tmp_path / folder)
