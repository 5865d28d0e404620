# Needs Python >= 3.11 with pip, and make. Everything else is fetched into ignored folders of this clone, once.

UV := $(shell command -v uv || echo .tools/uv/bin/uv)
export UV_PYTHON_DOWNLOADS := never
MEMBERS := services/core services/receiver services/worker services/cli operator
LOCAL := $(filter-out operator,$(MEMBERS))
DEPLOYABLES := services/receiver services/worker services/cli operator
COMPILE = $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
          --custom-compile-command "make lock" --no-emit-package eventroute-core --no-emit-package eventroute-receiver \
          --no-emit-package eventroute-worker --no-emit-package eventroute-operator

VERSION = $(shell sed -n 's/^appVersion: *"\(.*\)"$$/\1/p' charts/eventroute/Chart.yaml)

.PHONY: demo test e2e check lock generate manifests bench fuzz mutants images kind

demo: .venv-demo/installed  ## the whole of EventRoute on this machine: no cluster, no key, no Redis
	.venv-demo/bin/eventroute demo

test: .venv/installed  ## every test that needs no cluster
	.venv/bin/python -m pytest -n 2 --dist loadfile

CLUSTER ?= host
e2e: .venv/installed .tools/uv/bin/uv  ## on a real cluster: CLUSTER=host (made here, as root), kind or current (KEEP=1 leaves it up)
	$(if $(filter host,$(CLUSTER)),PYTHONPATH=tests .venv/bin/python -m e2e.support.prepare)
	CLUSTER=$(CLUSTER) .venv/bin/python -m pytest $(if $(filter host,$(CLUSTER)),tests/e2e,tests/e2e/pods) \
		-o timeout_func_only=true --timeout=300 $(ARGS)

check: .venv/installed  ## format, lint, types, layers, generated files, pinned requirements
	UV=$(UV) PATH=$(CURDIR)/.venv/bin:$$PATH .ci/check

lock: $(UV)  ## compile requirements/*.txt from the members' and the root's pyproject.toml (UPGRADE=--upgrade for newer versions)
	for d in $(DEPLOYABLES); do $(COMPILE) $(UPGRADE) $$d/pyproject.toml -o requirements/$${d##*/}.txt || exit 1; done
	$(COMPILE) $(UPGRADE) --group build -o requirements/build.txt
	$(COMPILE) $(UPGRADE) services/cli/pyproject.toml operator/pyproject.toml --group dev -o requirements/dev.txt

generate: .venv/installed  ## rewrite every generated file
	.venv/bin/python -m eventroute.schemes --write services/PROVIDERS.md
	.venv/bin/python -m eventroute.crd --write
	.venv/bin/python charts/chartgen.py --write

manifests: .venv/installed  ## rewrite k8s/base and k8s/overlays from the chart; needs Helm, on PATH or from `make e2e`
	PATH=$$PATH:$${KUBE_BIN:-$$HOME/.cache/eventroute-e2e/bin} .venv/bin/python charts/manifests.py --write

bench: .venv/installed  ## the benchmark: ours beside its peers, in one run (ARGS="--quick", "--only receiver", "--write")
	PYTHONPATH=tests .venv/bin/python -m bench $(ARGS)

EXAMPLES ?= 2000
fuzz: .venv/installed  ## damaged requests, bytes and manifests, others each time (EXAMPLES=20000, ARGS="-k wire")
	EVENTROUTE_FUZZ_EXAMPLES=$(EXAMPLES) .venv/bin/python -m pytest tests/fuzz --timeout=0 $(ARGS)

mutants: .venv/installed  ## small changes of the code that some test must notice (ARGS="--seed 7", "--sample 200", "--only lua", "--list")
	PYTHONPATH=tests .venv/bin/python -m mutants $(ARGS)

ENGINE ?= docker
images:  ## the images of the four programs (ENGINE=podman for another engine than docker)
	for p in receiver worker operator cli; do \
		$(ENGINE) build -f services/Dockerfile --build-arg PACKAGE=$$p -t eventroute/$$p:$(VERSION) . || exit 1; done

kind:  ## a local cluster with a registry that holds the images (needs docker, kind, kubectl; `k8s/kind.sh down` removes it)
	k8s/kind.sh up

# --- set-up -----------------------------------------------------------------------------------------------------------

.tools/uv/bin/uv: requirements/uv.txt
	python3 -m pip install -q --disable-pip-version-check --require-hashes --target .tools/uv --upgrade -r requirements/uv.txt
	@touch $@

.venv/installed: $(UV) requirements/dev.txt $(MEMBERS:%=%/pyproject.toml)
	$(UV) venv -q --allow-existing .venv
	VIRTUAL_ENV=.venv $(UV) pip sync -q --require-hashes requirements/dev.txt
	VIRTUAL_ENV=.venv $(UV) pip install -q --no-deps --no-build-isolation $(MEMBERS:%=-e %)
	@touch $@

.venv-demo/installed: $(UV) requirements/cli.txt requirements/build.txt $(LOCAL:%=%/pyproject.toml)
	$(UV) venv -q --allow-existing .venv-demo
	VIRTUAL_ENV=.venv-demo $(UV) pip sync -q --require-hashes requirements/cli.txt requirements/build.txt
	VIRTUAL_ENV=.venv-demo $(UV) pip install -q --no-deps --no-build-isolation $(LOCAL:%=-e %)
	@touch $@
