# Everything sets itself up: Python 3.11+ with venv, node with npm, nothing global.
#   make demo      a local chain, a perp protocol, seven exchanges, traders and the keeper; ARGS="--for 60s --headless"
#   make test      the whole test suite, two at a time; ARGS="-k funding", JOBS=0 for one by one
#   make check     what CI asks besides tests: ruff, format, mypy, floors, contracts
#   make docs      renew what documents repeat from the code
#   make contracts compile the reference protocol; CHECK=1 compares with what is committed
#   make validate  formulas against what exchanges published; renews docs/validation.md
#   make drills    the de-peg of 2023 through the engine; renews docs/depeg.md and its plot
#   make incidents prices that went wrong elsewhere, played to the engine; renews docs/incidents.md
#   make bench     benchmarks; ARGS=name
#   make fuzz      a million spoiled messages through every parser, some minutes; ARGS="--frames 50000 --seed 2"
#   make laws      every property with examples that nobody has seen, a quarter of an hour; ARGS="--hypothesis-seed 7"
#   make torture   kill -9 at every step of sending, on a real chain, 40 minutes; ARGS="--seeds 5"
#   make mutate    500 small mistakes in the money path, of which the tests must notice 85 in 100; ARGS="--seed 2"
#   make soak      memory, descriptors and journal over 10,000 blocks of sending; BLOCKS=500
#   make lock      renew the lock files from pyproject.toml, with hashes and without addresses
#   make clean     remove everything that make made
PYTHON ?= python3
ARGS ?=
JOBS ?= 2
CHECK ?=
BLOCKS ?= 10000

BIN := .venv/bin
VENV := .venv/installed
NODE := keeper/devnet/node_modules/.installed
OTHERS := tests/onchain/node_modules/.installed
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: demo test check format docs contracts validate drills incidents bench fuzz laws torture mutate soak lock clean
.DELETE_ON_ERROR:

demo: $(VENV) $(NODE)
	$(BIN)/python -m keeper demo $(ARGS)

test: $(VENV) $(NODE) $(OTHERS)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: $(VENV) $(NODE)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	node scripts/compile.mjs --check

format: $(VENV)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)
	$(BIN)/python -m scripts.render_docs

contracts: $(NODE)
	node scripts/compile.mjs $(if $(CHECK),--check)

validate: $(VENV)
	$(BIN)/python -m tests.validation

drills: $(VENV)
	$(BIN)/python -m tests.drills $(ARGS)

incidents: $(VENV)
	$(BIN)/python -m tests.incidents

bench: $(VENV) $(NODE)
	$(BIN)/python -m benchmarks $(ARGS)

fuzz: $(VENV)
	$(BIN)/python -m tests.fuzz --frames 1000000 $(ARGS)

laws: $(VENV) $(NODE) $(OTHERS)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --hypothesis-profile laws \
		$$(grep -rl --include='test_*.py' 'from hypothesis' tests) $(ARGS)

torture: $(VENV) $(NODE)
	$(BIN)/python -m tests.torture $(ARGS)

mutate: $(VENV)
	$(BIN)/python -m tests.mutation $(ARGS)

soak: $(VENV) $(NODE)
	SOAK_BLOCKS=$(BLOCKS) $(BIN)/python -m pytest tests/scenarios/test_time.py -k t32

# Offline registries (pip.conf, PIP_*) are honoured and never written down.
lock: $(VENV)
	$(COMPILE) --extra fast --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra fast --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	echo 'setuptools>=77' | $(COMPILE) --constraint requirements-dev.lock --output-file requirements-build.lock -

clean:
	rm -rf .venv keeper/devnet/node_modules tests/onchain/node_modules build dist *.egg-info .run .hypothesis .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; PYTHON=python3.12 make ... chooses another")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(NODE): keeper/devnet/package-lock.json keeper/devnet/package.json
	npm ci --prefix keeper/devnet --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

$(OTHERS): tests/onchain/package-lock.json tests/onchain/package.json
	npm ci --prefix tests/onchain --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@
