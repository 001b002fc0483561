# Every target uses the active virtual environment; without one, .venv is made on first use.
PYTHON ?= python3
VENV := $(or $(VIRTUAL_ENV),$(CURDIR)/.venv)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.rinrcodec-installed
# The folders map to one package only once installed, so mypy reads an installed copy.
TYPES := .build/types
SCRIPTS := $(wildcard benchmarks/*.py benchmarks/*/*.py)
# How long `make fuzz` runs.
SECONDS ?= 60

.PHONY: help demo test lint types unit fuzz check-long bench install clean

help:
	@echo "make demo   compress four pictures, verify them, and draw what came back (3 minutes)"
	@echo "make test   lint, types, all tests, and a minute of fuzzing"
	@echo "make lint   ruff and mypy only"
	@echo "make fuzz   made-up files for the reader, for a minute: make fuzz SECONDS=3600 for an hour"
	@echo "make check-long  20,000 damaged files instead of 2,000"
	@echo "make bench  the tables of docs/results (long)"
	@echo "make clean  remove what the other targets made, except the virtual environment"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	test -x "$(BIN)/python" || $(PYTHON) -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -e ".[all,dev]"
	touch "$@"

demo: install
	"$(BIN)/rinrcodec" demo -o demo-out

# Fuzzing comes last: under `make -j`, too, the tests have all cores.
test: lint unit
	$(MAKE) fuzz

lint: install types
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .

# build/ is setuptools' own leftover: a stale file in it would end up in the wheel.
types: install
	rm -rf build $(TYPES)
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --no-deps --target $(TYPES) .
	cd $(TYPES) && "$(BIN)/mypy" --config-file "$(CURDIR)/pyproject.toml" \
		rinrcodec $(addprefix "$(CURDIR)"/,$(SCRIPTS))

unit: install
	"$(BIN)/pytest" -n 2

fuzz: install
	"$(BIN)/python" tests/fuzz/run_fuzz.py --seconds $(SECONDS)

check-long: install
	RINR_MUTATIONS=20000 "$(BIN)/pytest" -n 2 tests/formats/test_mutations.py

bench: install
	for script in presets encode_siren grouping dataloader rate_distortion sequences ladder; do \
		"$(BIN)/python" benchmarks/$$script.py --out docs/results || exit 1; done
	for gate in 1 2 3 4 5; do \
		"$(BIN)/python" benchmarks/pyramid.py --gate $$gate --out docs/results || exit 1; done
	for part in equal kills scale cost capacity; do \
		"$(BIN)/python" benchmarks/fleet.py --part $$part --out docs/results || exit 1; done

clean:
	rm -rf .build build demo-out fuzz-out .mypy_cache .pytest_cache .ruff_cache .hypothesis
