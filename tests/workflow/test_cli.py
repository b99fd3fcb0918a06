"""The command line teaches, shows without running, and stops in one line."""

import errno
import subprocess
from pathlib import Path

import pytest

from workflow import cli
from workflow.stages import STAGES

ROOT = Path(__file__).parents[2]


def franca(*arguments, cwd=ROOT):
    return subprocess.run(
        ["franca", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_help_lists_every_stage_in_order():
    text = franca("--help").stdout
    places = [text.index(f" {stage.name} ") for stage in STAGES]
    assert places == sorted(places)


def test_show_prints_inputs_outputs_and_parameters_and_runs_nothing(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    done = franca("rasa", "--show", "--set", "seed=5", cwd=tmp_path)
    assert done.returncode == 0
    assert "artifacts/tiny/franca/finetune_highres" in done.stdout
    assert '"seed": 5' in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml"]


def test_progress_bars_write_little_where_nobody_watches(tmp_path):
    program = (
        "import sys, time; from workflow import cli; sys.argv = ['franca', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "from tqdm import tqdm\n"
        "for _ in tqdm(range(5)): time.sleep(0.15)"
    )
    done = subprocess.run(
        ["python", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr.count("it/s") == 2, done.stderr  # the first state and the last


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rasa", "--set", "rasa.metod=leace"], "did you mean 'method'?"),
        (["rasa", "--scale", "hughe"], "no scale 'hughe'"),
        (["rasa"], "receipt.json: not there; make it with `snakemake"),
        (["rasa", "--params", "nowhere.yaml"], "nowhere.yaml: not found"),
        (
            ["export", "--format", "timm", "--weights", "absent.pth", "--output", "out"],
            "absent.pth: no such file",
        ),
    ],
)
def test_a_mistake_ends_in_one_line_and_status_2(tmp_path, arguments, words):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    done = franca(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    first, *rest = done.stderr.strip().splitlines()
    assert words in first
    assert first.startswith("franca: ")
    assert rest in ([], ["franca: the traceback is in logs/traceback.txt"])


def test_where_nothing_can_be_written_it_still_ends_in_one_line(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    for folder in ("artifacts", "logs"):
        (tmp_path / folder).touch()
    done = franca("scenes", "--scale", "micro", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "franca: [Errno 20] Not a directory: 'artifacts/micro/params'\n"


@pytest.mark.parametrize(
    ("error", "status", "told", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left"), 2, "No space left; free some space and", ""),
        (KeyError("seed"), 1, "KeyError: 'seed'", "; did a file change? `franca verify` tells"),
    ],
)
def test_what_fails_is_told_with_a_remedy(tmp_path, monkeypatch, capsys, error, status, told, hint):
    def fail():
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == status
    first, second = capsys.readouterr().err.splitlines()
    assert told in first
    assert second == f"franca: the traceback is in logs/traceback.txt{hint}"
    assert type(error).__name__ in (tmp_path / "logs/traceback.txt").read_text()


def test_no_torch_before_a_stage_runs():
    program = (
        "import sys, workflow.cli, workflow.params as p;"
        "t = p.read(); p.resolve(t, scale='tiny', variant='franca');"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(["python", "-c", program], cwd=ROOT, check=False)
    assert done.returncode == 0
