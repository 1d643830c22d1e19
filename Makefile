# `make demo` shows pulse, `make test` proves it; each sets up what it needs. Stamps live in the virtual environment,
# so removing .venv starts afresh, and a second run only looks at dates.
VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/.stamps
DATAPLANE := src/pulse/_dataplane.abi3.so
RUST := Cargo.toml Cargo.lock pyproject.toml $(shell find crates -name Cargo.toml -o -name '*.rs')

# A build never fetches a toolchain of its own.
export MATURIN_NO_INSTALL_RUST := 1
export MATURIN_PEP517_ARGS := --locked
export PYO3_PYTHON := $(abspath $(PY))
# Tests start daemons by the hundred: each module is compiled once, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE
# Evaluated when a recipe runs: the Rust may have been installed by the one before.
WITH_RUST := PATH="$(abspath $(VENV))/bin:$$(tools/setup.sh rust-path)"

.PHONY: setup wheel deb packages demo test phases e2e compiled unit rust sim-long killpoints fuzz lint lint-python \
	lint-rust bench clean lock reference picture
.DELETE_ON_ERROR:

setup: $(DATAPLANE)
	@$(PY) -m compileall -q src

$(STAMPS)/build: tools/setup.sh
	@tools/setup.sh build
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/python: requirements.lock $(STAMPS)/build
	@echo "setting up $(VENV)"
	@"$$(tools/setup.sh python)" -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@touch $@

# One release build serves the demo, the tests and the benches.
$(DATAPLANE): $(RUST) $(STAMPS)/python
	@echo "building the data plane (minutes the first time)"
	@$(WITH_RUST) $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/test: tools/setup.sh $(STAMPS)/build
	@tools/setup.sh test
	@touch $@

$(STAMPS)/lint: tools/setup.sh $(STAMPS)/build
	@tools/setup.sh lint
	@touch $@

$(STAMPS)/packages: requirements-packages.lock tools/setup.sh $(STAMPS)/python
	@tools/setup.sh packages
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

# Zig links for a libc as old as that of Debian 10 and RHEL 8. Its build has its place beside the one of `make setup`.
wheel: $(STAMPS)/packages
	@rm -f dist/*.whl
	@echo "building a wheel (minutes the first time)"
	@$(WITH_RUST) MATURIN_PEP517_ARGS="--locked --strip --zig --compatibility manylinux_2_28" $(PY) -m pip wheel \
		--quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

# For the Python of this machine's Debian, or of another: DEB_PYTHON=3.13.
deb: wheel setup
	@rm -f dist/*.deb
	@PYTHON=$(PY) tools/deb.sh dist/*.whl dist

# Both as people install them: by pip, pipx and uv into environments that have nothing, by apt on a bare Debian.
packages: deb $(STAMPS)/test
	$(PY) -m pytest -m packages tests/packages

demo: setup
	@$(VENV)/bin/pulse demo

# Behind all that runs the simulation, on what the others leave of the processors.
test: setup $(STAMPS)/test
	@$(PY) -m tests.sim.backstage $(MAKE) --no-print-directory --jobs 2 phases

# Most tests wait most of their time, so several run at once, but for those that need the machine to themselves.
phases: e2e compiled
	@$(MAKE) --no-print-directory --jobs 2 unit rust
	$(PY) -m pytest -m "alone"

unit:
	$(PY) -m pytest -m "not e2e and not alone and not packages" --numprocesses 3 --dist loadfile

# A gate draws the same cases each time; other ones: `make rust PROPTEST_SEED=$RANDOM`.
PROPTEST_SEED := 20261126
rust:
	$(WITH_RUST) RUST_TEST_THREADS=6 PROPTEST_RNG_SEED=$(PROPTEST_SEED) cargo test --locked --quiet --package pulse-dataplane

e2e:
	$(PY) -m pytest -m "e2e and not alone" --numprocesses 3 --dist loadfile --no-loadscope-reorder

compiled:
	@$(WITH_RUST) nice -n 19 cargo test --locked --quiet --package pulse-dataplane --no-run

# Random seeds of the simulation; each that fails is printed with its diagram and belongs into tests/sim/seeds.py.
SIM_MINUTES := 30
sim-long: setup
	$(PY) -m tests.sim.runs --minutes $(SIM_MINUTES)

# Real daemons, killed at every system call by which they write, then at random moments under load; and every byte of
# every file they keep is changed. Hours: `KILLS=100` makes it less.
KILLS := 2000
killpoints: setup $(STAMPS)/test
	$(PY) -m tests.killpoints.runs
	$(PY) -m tests.killpoints.random --kills $(KILLS)
	$(PY) -m tests.killpoints.damage

# Damaged bytes to everything that reads what others wrote, so many to each; the same seed makes the same ones.
FUZZ := 100000
FUZZ_SEED := 20261126
fuzz: setup $(STAMPS)/test
	$(WITH_RUST) PULSE_FUZZ_RUNS=$(FUZZ) PULSE_FUZZ_SEED=$(FUZZ_SEED) \
		cargo test --locked --package pulse-dataplane --lib -- fuzz damaged --nocapture
	$(PY) -m tests.fuzz.runs --runs $(FUZZ) --seed $(FUZZ_SEED)

lint: setup $(STAMPS)/lint
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint-python lint-rust

lint-python:
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(PY) -m mypy.stubtest pulse._dataplane
	$(VENV)/bin/lint-imports
	$(VENV)/bin/codespell

lint-rust:
	$(WITH_RUST) cargo fmt --check
	$(WITH_RUST) cargo clippy --locked --quiet --workspace --all-targets -- -D warnings

# The last builds rivals with Go first, and leaves out those it cannot build.
bench: setup $(STAMPS)/test
	$(PY) bench/throughput.py
	$(PY) bench/relay.py
	$(PY) bench/roaming.py
	$(PY) bench/multipath.py
	$(PY) bench/session.py
	$(PY) bench/killed.py
	$(PY) bench/idle.py
	$(PY) bench/cli.py
	$(PY) bench/spread.py
	$(PY) bench/sdk.py
	$(PY) bench/revoked.py
	$(PY) bench/web.py
	$(PY) bench/fec.py
	$(PY) bench/names.py
	$(PY) bench/nat.py
	$(PY) bench/top.py
	PYTHONPATH=. $(PY) bench/gossip.py
	bench/peers.sh

# What the docs have of the code itself.
reference: setup
	$(PY) tools/reference.py

# README's picture, of a demo that runs now: on a quiet machine.
picture: setup
	PATH="$(abspath $(VENV))/bin:$$PATH" $(PY) tools/picture.py docs/demo.svg pulse demo

# After a change of pyproject.toml: hashes of every release, and no word about where they come from. What is
# packaged is what was tested: the other two say the same as the first.
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
AS_LOCKED := sed '/^ *--hash/d; s/ *\\$$//' requirements.lock | $(LOCK) --no-annotate --constraint -
lock:
	$(LOCK) pyproject.toml --group dev --output-file requirements.lock
	$(AS_LOCKED) pyproject.toml --output-file requirements-run.lock
	$(AS_LOCKED) --group packages --output-file requirements-packages.lock

clean:
	rm -rf $(VENV) target dist $(DATAPLANE) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
