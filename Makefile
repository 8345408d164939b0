# make help    this list
# make train   train on PythonFunctions for at most 5 minutes, then draw pictures
# make test    every test
# make test-accel  every test again, beside torch-scatter and torch-sparse
# make fuzz    10,000 generated inputs, of which make test tries a few, and runs of
#              several processes, one of which is killed
# make lint    formatting, lint, types
# make docs    the documentation, into build/docs
# make bench   all benchmarks against the peers; BENCH=--quick for a short run
# make gpu     all that is to be known of a GPU, in 6 minutes, into benchmarks/results/gpu
# make reproduce TABLE=paper|fair|code2|hierarchy|partitions|pace
#              a published table beside our figures; goes on where it stopped;
#              pace: seconds an epoch beside PyG's padded operator;
#              ARGS="--data DIR --sets ENZYMES --methods DiffPool --folds 0,1"

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.DEFAULT_GOAL := help
.PHONY: help train test test-accel fuzz lint docs bench gpu reproduce clean

help:
	@sed -n '/^#/!q; s/^# //p' $(firstword $(MAKEFILE_LIST))

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

train: $(READY)
	$(BIN)/pyg-diffpool fit --trainer.max_time 00:00:05:00 \
		--data.batch_size 32 --model.lr 0.002
	$(BIN)/pyg-diffpool plot --ckpt_path best

# One thread for each test process: they already share the cores.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto

# Both are built here, against the torch at hand: some 20 minutes on two cores.
test-accel:
	$(MAKE) VENV=.venv-accel .venv-accel/ready
	.venv-accel/bin/python -m pip install --quiet setuptools wheel
	.venv-accel/bin/python -m pip install --quiet --constraint constraints.txt \
		--no-build-isolation --editable '.[dev,accel]'
	$(MAKE) VENV=.venv-accel test

fuzz: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/fuzz --numprocesses auto \
		--hypothesis-profile=fuzz
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m slow

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -d build/doctrees docs build/docs

# torch-scatter, which a peer imports, is built against the torch at hand.
bench: $(READY)
	$(BIN)/python -m pip install --quiet setuptools wheel
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--no-build-isolation torch-scatter
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[dev,bench]'
	$(BIN)/python -m benchmarks all $(BENCH)

# Any Python with torch for the GPU at hand, torch_geometric and pytest will do.
gpu:
	PYTHONPATH=src $(PYTHON) -m benchmarks gpu

TABLE ?= paper
reproduce: $(READY)
	$(BIN)/python -m benchmarks.reproduce $(TABLE) $(ARGS)

clean:
	rm -rf $(VENV) .venv-accel build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
