# Every target uses the active virtual environment; without one, .venv is made on first use.
PYTHON ?= python3
VENV := $(or $(VIRTUAL_ENV),$(CURDIR)/.venv)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.rinrcodec-installed
DEMO_INSTALLED := $(VENV)/.rinrcodec-demo
# How long `make fuzz` runs.
SECONDS ?= 60
# Or every process that a test starts would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo docs test lint unit fuzz check-long bench install clean

help:
	@echo "make demo        compress four pictures, verify them, and plot the result (1 minute, and the install)"
	@echo "make test        lint, all tests, and 15 seconds of fuzzing (20 minutes on two cores)"
	@echo "make lint        ruff, mypy and codespell (30 seconds)"
	@echo "make docs        the site of the documentation, in build/site, and its long sentences (20 seconds)"
	@echo "make fuzz        made-up files for the reader and the decoder, side by side, for a minute: make fuzz SECONDS=3600 for an hour"
	@echo "make check-long  20,000 damaged files instead of 1,000 (2 minutes)"
	@echo "make bench       the pages of docs/results, in bench-out (11 hours; continues what was cut)"
	@echo "make clean       remove the files of the other targets, except the virtual environment"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	test -x "$(BIN)/python" || $(PYTHON) -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -e ".[all,dev]"
	touch "$@" "$(DEMO_INSTALLED)"

# Without the tools of developers.
$(DEMO_INSTALLED): pyproject.toml
	test -x "$(BIN)/python" || $(PYTHON) -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -e ".[demo]"
	touch "$@"

demo: $(DEMO_INSTALLED)
	"$(BIN)/rinrcodec" demo -o demo-out --overwrite

# Fuzzing comes last: under `make -j`, too, the tests have all cores.
test: lint docs unit
	$(MAKE) fuzz SECONDS=15

# mypy follows the links from rinrcodec/ to the folders next to it.
lint: install
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy" rinrcodec benchmarks
	"$(BIN)/codespell"

# A warning, such as a dead link, fails. NO_MKDOCS_2_WARNING silences an advertisement.
docs: install
	NO_MKDOCS_2_WARNING=1 PYTHONPATH="$(CURDIR)" "$(BIN)/mkdocs" build

unit: install
	"$(BIN)/pytest" -n 2 --dist worksteal --durations=30

fuzz: install
	"$(BIN)/python" tests/fuzz/run_fuzz.py --seconds $(SECONDS)

check-long: install
	RINR_MUTATIONS=20000 "$(BIN)/pytest" -n 2 tests/formats/test_mutations.py tests/fuzz/test_av1_rows.py

# With PLAN=1 it prints the plan only, which needs no environment.
bench: $(if $(PLAN),,install)
	PATH="$(BIN):$$PATH" benchmarks/all.sh bench-out

clean:
	rm -rf build demo-out fuzz-out .mypy_cache .pytest_cache .ruff_cache .hypothesis
