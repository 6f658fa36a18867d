# Everything that a person types. Each target does all that it needs, and may be repeated.
#
#   make demo        from nothing to a proven model, on real data
#   make demo-images the same on images
#   make demo-chat   the same with a small language model and instructions: what it says before and after
#   make test        format, lints, documentation, build, every test
#   make test-peers  transformers, TensorBoard and huggingface_hub open what we make
#   make faults      a fault at every system call, cuts of power, full disks, damaged files: hours. FAULTS="--every 12"
#   make fuzz        every parser of outside bytes under libFuzzer, a minute each. FUZZ="--seconds 10 --only image"
#   make soak        MINUTES=60 of drops, kills and faults by chance
#   make plugins     the sample plugins, as their users would build them
#   make bench       speed and memory beside the Hugging Face Trainer (ratios, no assertions);
#                    BENCH=small: macro F1 of an empty recipe on little data; BENCH=ner: entities; BENCH=busy: beside others;
#                    BENCH=lm: language models beside TRL and peft; BENCH=generation: answers beside llama.cpp
#   make bench-images beside timm in a plain PyTorch loop
#   make deb         a Debian package, with libtorch, units, manual pages; into target/package
#   make check-deb   installs it into a fresh Debian root, runs a job, upgrades, removes, purges
#   make check-systemd  the same root booted with systemd as process 1: installed, used, upgraded at work, removed
#   make dist        the same as a tarball that runs where it is unpacked, on glibc 2.28 or newer
#   make check-dist  runs it in a fresh Debian 11, whose glibc is older than that of most machines
#   make libtorch    the libtorch that tch expects, into .libtorch (CUDA=1 keeps the CUDA parts)

SHELL := /bin/bash
PYTHON ?= python3
CARGO ?= cargo
ASSETS ?= .assets
export FINETUNED_ASSETS := $(abspath $(ASSETS))

.PHONY: demo demo-images demo-chat test test-peers faults fuzz soak plugins bench bench-images deb check-deb check-systemd dist check-dist libtorch build assets images peers tools

tools:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	@command -v c++ >/dev/null || { echo "a C++ compiler is missing: apt-get install g++ (or dnf install gcc-c++)"; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: apt-get install python3 python3-pip"; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "pip is missing for $(PYTHON): apt-get install python3-pip (or $(PYTHON) -m ensurepip)"; exit 1; }

libtorch: tools
	@if [ -n "$$LIBTORCH" ]; then echo "libtorch: yours, $$LIBTORCH"; else $(PYTHON) daemon/libtorch/fetch.py .libtorch $(if $(CUDA),--cuda); fi

assets: tools
	@$(PYTHON) tests/assets/fetch.py $(ASSETS) minilm tweets

images: tools
	@$(PYTHON) tests/assets/fetch.py $(ASSETS) efficientnet-lite0 fashion-mnist-small

peers: tools
	@$(PYTHON) tests/peers/install.py .peers

build: libtorch
	$(CARGO) build --release --locked -p finetuned -p finetuned-worker

demo: build assets
	@$(PYTHON) tests/demo.py texts $(ASSETS)

demo-images: build images
	@$(PYTHON) tests/demo.py images $(ASSETS)

demo-chat: build
	@$(PYTHON) tests/assets/fetch.py $(ASSETS) smollm2 instructions
	@$(PYTHON) tests/demo.py chat $(ASSETS)

# As `finetuned plugin new` has it in the manifests of its crates: see sdk/templates/tensor.Cargo.toml.
QUICK_DEPENDENCIES := --config 'profile.release.package."*".opt-level=0'

plugins: libtorch
	cd plugins && $(CARGO) build --release --locked $(QUICK_DEPENDENCIES)

test: build assets plugins
	$(CARGO) fmt --all --check
	cd tests/fuzz && $(CARGO) fmt --check
	cd plugins && $(CARGO) fmt --all --check
	cd plugins && $(CARGO) clippy --release --locked $(QUICK_DEPENDENCIES) --all-targets -- -D warnings
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps
	cd plugins && RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked $(QUICK_DEPENDENCIES) --no-deps
	$(CARGO) test --release --locked --workspace
	$(PYTHON) tests/faults/run.py --every 20 --only "claim, kill" --only "recovery, power" --only "copy, EIO"
	@# With the root's target folder, where the torch-sys that computes is compiled already.
	cd plugins && CARGO_TARGET_DIR=$(abspath target) LD_LIBRARY_PATH=$${LIBTORCH:-$(abspath .libtorch)}/lib $(CARGO) test --release --locked --no-default-features

test-peers: build assets plugins peers
	.peers/bin/python -m pytest -q tests/peers

faults: build
	$(PYTHON) tests/faults/run.py $(FAULTS)

fuzz: libtorch
	$(PYTHON) tests/fuzz/run.py $(FUZZ)

soak: build
	$(PYTHON) tests/faults/soak.py $(or $(MINUTES),60)

bench: build assets peers
ifeq ($(firstword $(BENCH)),small)
	@$(PYTHON) tests/assets/fetch.py $(ASSETS) efficientnet-lite0 fashion-mnist-small
	.peers/bin/python tests/bench/small.py $(wordlist 2,$(words $(BENCH)),$(BENCH))
else ifeq ($(firstword $(BENCH)),ner)
	@$(PYTHON) tests/assets/fetch.py $(ASSETS) ner
	.peers/bin/python tests/bench/ner.py $(wordlist 2,$(words $(BENCH)),$(BENCH))
else ifeq ($(firstword $(BENCH)),busy)
	.peers/bin/python tests/bench/busy.py $(wordlist 2,$(words $(BENCH)),$(BENCH))
else ifeq ($(firstword $(BENCH)),lm)
	@$(PYTHON) tests/assets/fetch.py $(ASSETS) smollm2 instructions preferences news
	.peers/bin/python tests/bench/lm.py $(wordlist 2,$(words $(BENCH)),$(BENCH))
else ifeq ($(firstword $(BENCH)),generation)
	@$(PYTHON) tests/assets/fetch.py $(ASSETS) smollm2 instructions
	.peers/bin/python tests/bench/generation.py $(wordlist 2,$(words $(BENCH)),$(BENCH))
else
	@$(PYTHON) tests/assets/fetch.py $(ASSETS) news
	.peers/bin/python tests/bench/bench.py $(BENCH)
endif

bench-images: build images peers
	.peers/bin/python tests/bench/images.py $(BENCH)

# Linked anew: a package's worker finds libtorch beside itself. The next `make build` links it back.
define PACKAGE
	FINETUNED_RPATH='$$ORIGIN/../lib' $(CARGO) build --release --locked -p finetuned -p finetuned-worker
	@$(PYTHON) packaging/package.py $(1) $${CARGO_TARGET_DIR:-target}/release $${LIBTORCH:-.libtorch} $${CARGO_TARGET_DIR:-target}/package
endef

deb: libtorch
	$(call PACKAGE,deb)

# As root, with debootstrap: into a fresh Debian root, which stays for the next time.
check-deb: deb
	packaging/check.sh $${CARGO_TARGET_DIR:-target}/package/finetuned_*.deb $${CARGO_TARGET_DIR:-target}/package/root

# As root, with debootstrap and a cgroup v2: the same root, booted in namespaces.
check-systemd: deb
	$(PYTHON) packaging/booted.py $${CARGO_TARGET_DIR:-target}/package/finetuned_*.deb $${CARGO_TARGET_DIR:-target}/package/root

dist: export FINETUNED_LINK = $(shell $(PYTHON) packaging/old_glibc.py $${CARGO_TARGET_DIR:-target}/package/glibc)
dist: libtorch
	$(call PACKAGE,tar)

# As root, with debootstrap.
check-dist: dist
	packaging/check_dist.sh $${CARGO_TARGET_DIR:-target}/package/finetuned-*.tar.gz $${CARGO_TARGET_DIR:-target}/package/older-root
