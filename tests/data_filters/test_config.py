"""Parameters of the data half: mistakes are told by the name of the key."""

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from data_filters.config import DownloadImages, FilterImages, FilterMetadata, Source, Thresholds
from data_filters.source_kinds import Folder

DOWNLOAD = {
    "distributor": "multiprocessing",
    "rows_per_shard": 10,
    "shards_per_process": 10,
    "threads": 2,
    "max_per_host": 2,
    "max_idle_connections": 8,
    "max_idle_seconds": 5.0,
    "timeout_seconds": 1.0,
    "total_timeout_seconds": 2.0,
    "hang_seconds": 10.0,
    "worker_restarts": 0,
    "max_bytes": 1000,
    "max_pixels": 1000,
    "retries": 0,
    "backoff_seconds": 0.1,
    "max_backoff_seconds": 1.0,
    "dns_cache_seconds": 60.0,
    "allowed_networks": ["127.0.0.0/8"],
    "user_agent": "franca",
    "robots_txt": False,
    "verify_md5": False,
    "resize": None,
    "min_success_rate": 0.5,
}


def test_importing_the_parameters_imports_neither_torch_nor_duckdb():
    code = "import sys, data_filters.config; print({'torch', 'duckdb'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_the_kind_of_a_source_decides_what_belongs_to_it():
    adapter = TypeAdapter(Source)
    folder = adapter.validate_python({"kind": "folder", "root": "x", "class_subfolders": True})
    assert isinstance(folder, Folder)
    with pytest.raises(ValidationError, match="files"):
        adapter.validate_python({"kind": "webdataset", "root": "x"})
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        adapter.validate_python({"kind": "s3"})


def test_every_key_must_be_given():
    with pytest.raises(ValidationError) as caught:
        DownloadImages.model_validate({})
    assert {error["loc"][0] for error in caught.value.errors()} == set(DOWNLOAD)


def test_the_total_time_cannot_be_below_the_longest_silence():
    with pytest.raises(ValidationError, match="total_timeout_seconds is smaller"):
        DownloadImages.model_validate({**DOWNLOAD, "total_timeout_seconds": 0.5})


def test_a_url_may_take_its_time_without_looking_like_a_hang():
    patient = {"retries": 3, "max_backoff_seconds": 5.0}
    with pytest.raises(ValidationError, match=r"one URL may take 27 s .*: raise it"):
        DownloadImages.model_validate({**DOWNLOAD, **patient})
    with pytest.raises(ValidationError, match=r"one URL may take 54 s"):
        DownloadImages.model_validate({**DOWNLOAD, **patient, "robots_txt": True})
    DownloadImages.model_validate({**DOWNLOAD, **patient, "hang_seconds": 27.0})


@pytest.mark.parametrize("network", ["10.0.0.1/8", "intranet"])
def test_networks_are_networks(network):
    with pytest.raises(ValidationError, match=r"download_images\.allowed_networks: .*" + network):
        DownloadImages.model_validate({**DOWNLOAD, "allowed_networks": [network]})


def test_thresholds_are_a_preset_or_numbers():
    rest = {
        "allowed_schemes": ["https"],
        "denied_domains": [],
        "denied_url_patterns": [],
        "deny_lists": [],
        "drop_repeated_urls": True,
        "sample_fraction": 1.0,
    }
    numbers = dict.fromkeys(Thresholds.model_fields) | {"missing": "keep", "min_side": 5}
    assert FilterMetadata(thresholds="datacomp_basic", **rest).thresholds == "datacomp_basic"
    assert FilterMetadata(thresholds=numbers, **rest).thresholds.min_side == 5
    with pytest.raises(ValidationError, match="datacomp_basic"):
        FilterMetadata(thresholds="datacomp", **rest)


IMAGES = {
    "max_pixels": 1000,
    "allow_animated": False,
    "min_side": None,
    "max_aspect_ratio": None,
    "min_entropy": None,
    "min_sharpness": None,
    "max_unreadable_rate": 0.1,
    "device": "auto",
    "batch_size": 8,
}


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([{"name": "nsfw", "max_score": 0.5}] * 2, "'nsfw' is taken"),
        ([{"name": "shape", "max_score": 0.5}], "'shape' is taken"),
        ([{"name": "nsfw"}], "'nsfw' drops nothing"),
    ],
)
def test_models_have_names_of_their_own_and_a_limit(models, words):
    with pytest.raises(ValidationError, match=words):
        FilterImages.model_validate(
            {**IMAGES, "models": [{"kind": "opennsfw", **model} for model in models]}
        )
