# Everything runs in a virtual environment in this folder; each target makes it if need be.
#   make reproduce   the whole pipeline on the embedded default (scale `tiny`)
#   make test        all tests
#   make check       all static checks
PYTHON ?= python3
VENV   ?= .venv
CORES  ?= 2
BIN    := $(abspath $(VENV))/bin
STAMP  := $(VENV)/.installed
SNAKEMAKE := snakemake --workflow-profile workflow/profiles/local --cores $(CORES)
# A worker takes whole files, in order: clones and other dear fixtures are made once.
PYTEST := pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

# uv does not read pip's variable for extra package folders; without one this changes nothing.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export PATH := $(BIN):$(PATH)
# Small models lose more to thread overhead than they win; no library phones home.
export OMP_NUM_THREADS ?= 1
export NO_ALBUMENTATIONS_UPDATE := 1
export WANDB_MODE := disabled
export HF_HUB_OFFLINE ?= 1
export DVC_NO_ANALYTICS := 1

.PHONY: reproduce ablation pictures test test-fast check format environment clean

reproduce: $(STAMP)
	$(SNAKEMAKE)

ablation: $(STAMP)
	$(SNAKEMAKE) ablation

# The README's pictures, from the runs of this machine.
pictures: reproduce ablation
	cp $(addprefix artifacts/tiny/franca/report/figures/,convergence.png features-masks.png features-pca.png) docs/pictures
	cp artifacts/tiny/ablation/figures/truncation.png docs/pictures

test: $(STAMP)
	$(PYTEST)

test-fast: $(STAMP)
	$(PYTEST) -m "not slow"

check: $(STAMP)
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	mypy
	lint-imports
	python -m workflow.export_dvc --check

format: $(STAMP)
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow/rules

environment: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev,export,nsfw,remotes]'
	touch $(STAMP)

clean:
	rm -rf artifacts work logs .snakemake
