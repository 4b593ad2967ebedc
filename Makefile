# Everything a user types. `make help` lists it.
SHELL := /bin/bash
need = $(if $($(1)),,$(error $(1) is missing: make $@ $(2); see make help))
.DEFAULT_GOAL := help

VENV   := .venv
PYTHON := $(VENV)/bin/python
UV     := $(VENV)/bin/uv
READY  := $(VENV)/.ready

WORKERS  ?= $(shell nproc)
EXECUTOR ?= local
CONFIG   ?= configs/prepare/default.yaml
# Networks that a fit of one's own left, or else those of `make demo`.
FITTED   := $(if $(wildcard outputs/dit/last.ckpt),outputs,outputs/demo)
CHECKPOINT ?= $(FITTED)/dit/last.ckpt
VAE      ?= $(FITTED)/vae/last.ckpt

# sam2 and deepspeed come as source: they are built after torch, against it, without their CUDA parts.
SOURCE_ONLY := ^(sam2|deepspeed)==

.PHONY: help setup lock lint format test demo demo-real shards check-shards synthetic generate ablate-vae ablate-dit peers mlflow clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | while IFS=$$'\t' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: $(READY)  ## Build .venv from requirements.lock, and the open body and head from their assets
	@$(PYTHON) -m models.body.open_body
	@$(PYTHON) -m models.body.open_head

$(READY): requirements.lock
	@command -v python3 >/dev/null || { echo "python3 (3.11) is needed to begin with"; exit 1; }
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check uv
	grep -vE '$(SOURCE_ONLY)' requirements.lock | $(UV) pip install --python $(PYTHON) --no-deps -r -
	$(UV) pip install --python $(PYTHON) setuptools wheel
	SAM2_BUILD_CUDA=0 DS_BUILD_OPS=0 $(UV) pip install --python $(PYTHON) --no-deps --no-build-isolation -r requirements.lock
	@touch $@

lock:  ## Resolve pyproject.toml into requirements.lock again
	$(UV) pip compile pyproject.toml --extra dev --no-annotate --no-header --python-version 3.11 --upgrade -o requirements.lock

lint: $(READY)  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(READY)  ## Let ruff format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

test: $(READY)  ## Run the tests, a file on each core
	$(PYTHON) -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

demo: $(READY)  ## The whole path on synthetic people, in about ten minutes on two cores
	$(PYTHON) -m pipelines.demo synthetic --out outputs/demo --workers $(WORKERS)

demo-real: $(READY)  ## The same path, continued on real clips: make demo-real VIDEOS=folder
	@$(call need,VIDEOS,VIDEOS=folder)
	$(PYTHON) -m pipelines.demo real --videos "$(VIDEOS)" --base outputs/demo --out outputs/demo-real --workers $(WORKERS)

shards check-shards: OUT ?= data/shards
shards: $(READY)  ## Real videos to shards: make shards VIDEOS=folder-or-list OUT=data/shards
	@$(call need,VIDEOS,VIDEOS=folder-or-list OUT=data/shards)
	$(PYTHON) -m pipelines.prepare --videos "$(VIDEOS)" --out "$(OUT)" --config $(CONFIG) \
	   --executor $(EXECUTOR) --workers $(WORKERS) $(if $(GPU_ACTORS),--gpu_actors $(GPU_ACTORS)) \
	   $(if $(GPUS_PER_ACTOR),--gpus_per_actor $(GPUS_PER_ACTOR))

check-shards: $(READY)  ## Prove a folder of shards, or list all that is wrong with it: make check-shards OUT=data/shards [BODY=SMPL_NEUTRAL.pkl]
	$(PYTHON) -m pipelines.check_shards --shards "$(OUT)" --workers $(WORKERS) $(if $(BODY),--body "$(BODY)")

COUNT ?= 512
SIZE  ?= 64
SET   ?= train
synthetic: OUT ?= data/synthetic
synthetic: $(READY)  ## Synthetic clips to shards: make synthetic SET=train OUT=data/synthetic COUNT=512 SIZE=64 [VAL=16] [SPLIT=test]
	$(PYTHON) -m pipelines.synthesize --set $(SET) $(if $(SPLIT),--split $(SPLIT)) --out "$(OUT)" --count $(COUNT) \
	  $(if $(VAL),--val $(VAL)) --size $(SIZE) --workers $(WORKERS)

CAMERA ?= own
generate: $(READY)  ## Animate a picture: make generate REFERENCE=a.png MOTION=dance.mp4 OUT=c.mp4 [CAMERA=orbit] [BACKGROUND=b.mp4] [PEOPLE=2]
	@$(call need,REFERENCE,REFERENCE=a.png MOTION=walk.npz OUT=c.mp4)
	@$(call need,MOTION,REFERENCE=a.png MOTION=walk.npz OUT=c.mp4)
	@$(call need,OUT,REFERENCE=a.png MOTION=walk.npz OUT=c.mp4)
	$(PYTHON) -m pipelines.generate clip --reference "$(REFERENCE)" --motion "$(MOTION)" --camera "$(CAMERA)" \
	  $(if $(BACKGROUND),--background "$(BACKGROUND)") $(if $(PEOPLE),--people $(PEOPLE)) --checkpoint "$(CHECKPOINT)" --vae "$(VAE)" --out "$(OUT)"

ablate-vae: $(READY)  ## What the VAE's training strategies are worth, each left out: benchmarks/ablate_vae.py names its data
	$(PYTHON) -m benchmarks.ablate_vae --workers $(WORKERS)

ablate-dit: $(READY)  ## What tells the video about bodies: ISA, its parts, and 2D ControlNets side by side
	$(PYTHON) -m benchmarks.ablate_dit --workers $(WORKERS)

peers: $(READY)  ## Install the loaders that benchmarks/loader.py measures ours beside
	$(UV) pip install --python $(PYTHON) --no-deps -r benchmarks/peers.txt

mlflow: $(READY)  ## Open MLflow on the runs made here
	$(VENV)/bin/mlflow ui --backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///outputs/mlflow.db} --port $${PORT:-5000}

clean:  ## Remove what the programs made (not .venv)
	rm -rf outputs
