"""Refusals of remote stores: the message names the terms to accept and the variable to set."""

import os
import subprocess
import sys

import pytest

from data_filters.io.access import explained
from tests.data_filters.sources.conftest import FileServer

CODE = """
from data_filters.io.files import list_files
try:
    list_files("hf://datasets/laion/some-set/data", "*.parquet", key="source.root", layout="tables")
except Exception as error:
    print(type(error).__name__, error)
"""


def ask_the_hub(**environment):
    """List a folder of the Hub in a process of its own: its client reads the environment once."""
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_set_of_the_hub(tmp_path, status):
    server = FileServer(tmp_path)
    server.status, server.headers = status, {"X-Error-Code": "GatedRepo"}
    said = ask_the_hub(HF_ENDPOINT=server.url, HF_HUB_OFFLINE="0")
    server.close()
    assert said == (
        f"PermissionError source.root: 'hf://datasets/laion/some-set/data' is gated ({status}): "
        "accept its terms at https://huggingface.co/datasets/laion/some-set with your account, "
        "then set HF_TOKEN to a token that may read it\n"
    )


def test_a_hub_that_may_not_be_asked():
    said = ask_the_hub(HF_HUB_OFFLINE="1")
    assert said.startswith("PermissionError source.root: 'hf://datasets/laion/some-set/data' is on")
    assert "HF_HUB_OFFLINE is set: set it to 0" in said


def test_a_hub_that_nobody_answers_for():
    said = ask_the_hub(HF_ENDPOINT="http://127.0.0.1:1", HF_HUB_OFFLINE="0")
    assert said.startswith(
        "ConnectionError source.root: 'hf://datasets/laion/some-set/data' cannot"
    )
    assert said.endswith("is there a network?\n")


def test_the_status_is_found_below_other_errors_and_others_pass():
    refusal = RuntimeError("as botocore's")
    refusal.response = {"ResponseMetadata": {"HTTPStatusCode": 403}}
    with (
        pytest.raises(PermissionError, match=r"k: access to 's3://b/x' is refused \(403\)"),
        explained("s3://b/x", key="k"),
    ):
        raise OSError("opaque") from refusal
    with pytest.raises(FileNotFoundError, match="gone"), explained("s3://b/x", key="k"):
        raise FileNotFoundError("gone")
