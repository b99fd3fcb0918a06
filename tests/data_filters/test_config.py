"""Parameters of the data half: mistakes are told by the name of the key."""

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from data_filters.config import DownloadImages, FilterMetadata, Source, Thresholds
from data_filters.sources.kinds import Folder

DOWNLOAD = {
    "rows_per_shard": 10,
    "threads": 2,
    "timeout_seconds": 1.0,
    "total_timeout_seconds": 2.0,
    "max_bytes": 1000,
    "max_pixels": 1000,
    "retries": 0,
    "allow_loopback": True,
    "user_agent": "franca",
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


def test_thresholds_are_a_preset_or_numbers():
    rest = {
        "allowed_schemes": ["https"],
        "denied_domains": [],
        "drop_repeated_urls": True,
        "sample_fraction": 1.0,
    }
    numbers = dict.fromkeys(Thresholds.model_fields) | {"missing": "keep", "min_side": 5}
    assert FilterMetadata(thresholds="datacomp_basic", **rest).thresholds == "datacomp_basic"
    assert FilterMetadata(thresholds=numbers, **rest).thresholds.min_side == 5
    with pytest.raises(ValidationError, match="datacomp_basic"):
        FilterMetadata(thresholds="datacomp", **rest)
