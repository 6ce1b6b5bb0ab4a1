PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PRODUCTION := BOURSE_ENV=production DEBUG=off ALLOWED_HOSTS=bourse.example SECRET_KEY=$$($(PY) -c "import secrets; print(secrets.token_urlsafe(64))")

.PHONY: run run-distributed test test-slow quick check bench bench-surveillance format

run: $(VENV)/.runtime node_modules/.package-lock.json
	@exec $(PY) manage.py up

run-distributed: $(VENV)/.runtime node_modules/.package-lock.json
	@exec $(PY) manage.py run_distributed $(ARGS)

test: $(VENV)/.development node_modules/.package-lock.json
	@$(PY) -m tests.debian
	$(PY) -m pytest -m "not slow" $(ARGS)

test-slow: $(VENV)/.development node_modules/.package-lock.json
	@$(PY) -m tests.debian
	$(PY) -m pytest -m slow --timeout 3600 $(ARGS)

quick: $(VENV)/.development
	$(PY) -m pytest -c tests/pure/pytest.ini -p no:django tests/pure $(ARGS)

check: $(VENV)/.development
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) $(VENV)/bin/lint-imports --no-logo
	$(PY) manage.py makemigrations --check
	$(PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING

bench: $(VENV)/.development
	$(PY) manage.py bench $(ARGS)

bench-surveillance: $(VENV)/.development
	$(PY) manage.py bench_surveillance $(ARGS)

format: $(VENV)/.development
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Bourse needs Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python cannot make virtual environments here: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/pip
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# Node of this machine, or pip's where there is none. Only a changed lock file needs the network again.
node_modules/.package-lock.json: package-lock.json | $(VENV)/.runtime
	$(PY) -m trading.front_end
	@touch $@
