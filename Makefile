# Two commands for people: `make demo` and `make test`. Both may be run again at any time.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

# Debian's python3 may be another version than 3.11 and may come without the venv module.
PYTHON_FOUND := $(shell command -v $(PYTHON) || command -v python3)

.PHONY: demo test install test-install bench bundle bundle-check clean system-packages

install: $(VENV)/.stamp-run
test-install: $(VENV)/.stamp-test .venv-crate/.stamp .venv-clients/.stamp

$(BIN)/python:
	packaging/make-venv "$(PYTHON_FOUND)" $(VENV)

$(VENV)/.stamp-run: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[all]'
	touch $@

$(VENV)/.stamp-test: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[all,test]'
	touch $@ $(VENV)/.stamp-run

# The RO-Crate validator wants other versions than we do: it lives in an environment of its own.
.venv-crate/.stamp:
	packaging/make-venv "$(PYTHON_FOUND)" .venv-crate
	.venv-crate/bin/python -m pip install -qq --disable-pip-version-check roc-validator rocrate
	touch $@

# Other people's clients of XNAT, which the sandbox must serve as they are.
.venv-clients/.stamp:
	packaging/make-venv "$(PYTHON_FOUND)" .venv-clients
	.venv-clients/bin/python -m pip install -qq --disable-pip-version-check xnatctl xnatutils
	touch $@

system-packages:
	packaging/install-system-packages system-packages.txt
	packaging/unpack-nginx .venv-tools

# SERVE=1 keeps the archive served afterwards, until Ctrl+C.
demo: install
	$(BIN)/python -m sandbox.demo demo $(if $(SERVE),--serve)

test: test-install system-packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -n auto

clean:
	rm -rf $(VENV) .venv-bench .venv-bundle .venv-clients .venv-crate .venv-tools build dist demo *.egg-info

# Benchmarks need their peers, which live in an environment of their own.
bench: | .venv-bench/bin/python
	.venv-bench/bin/python -m pip install -qq --disable-pip-version-check -e '.[pipelines,sandbox,bench]'
	.venv-bench/bin/python benchmarks/convert.py
	.venv-bench/bin/python benchmarks/mapping.py
	.venv-bench/bin/python benchmarks/mapping_command.py

.venv-bench/bin/python:
	packaging/make-venv "$(PYTHON_FOUND)" .venv-bench

# The window as one folder, built in an environment that holds nothing else.
bundle: | .venv-bundle/bin/python system-packages
	.venv-bundle/bin/python -m pip install -qq --disable-pip-version-check -e '.[bundle]'
	.venv-bundle/bin/python -m PyInstaller --noconfirm --log-level WARN \
		--workpath build/bundle packaging/bundle/xnat-pic.spec

bundle-check: test-install system-packages
	$(BIN)/python -m pytest -q -s -n 0 packaging/bundle/test_bundle.py

.venv-bundle/bin/python:
	packaging/make-venv "$(PYTHON_FOUND)" .venv-bundle
