# Sampan's house-keeping. `make help` lists the targets; the two that matter are `make run` and `make test`.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
# The query data in .sqlx is the contract with the database; a build never asks a live one.
export SQLX_OFFLINE := true
RELEASE := $(CARGO_TARGET_DIR)/release
# `make run` keeps its state here; a real installation uses /var/lib/sampan (docker-compose-free-deploy/install).
RUN_ROOT ?= /var/lib/sampan-dev
RUN_STATE ?= /run/sampan-dev
RUN_HTTP ?= 127.0.0.1:7070

.PHONY: help build run test test-all check lint walk bench packages web clean-run images cargo-deny licences advisories
help: ## lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 14

packages: ## installs what the build needs from Debian's packages
	@tools/host-packages

web: web/dist/manifest.json ## bundles the pages' scripts, styles and icons into web/dist

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@tools/host-packages
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

web/dist/manifest.json: web/node_modules/.package-lock.json web/build.mjs web/icons.txt $(wildcard web/src/*.ts web/styles/*.css)
	cd web && node build.mjs

build: web ## builds the release binaries: sampan and sampan-runtime
	cargo build --release -p sampan --bin sampan
	cargo rustc --release -p sampan-runtime --bin sampan-runtime -- -C target-feature=+crt-static

run: build ## builds and starts Sampan; prints address, setup token and the docker context line
	@[ "$$(id -u)" = 0 ] || { echo "make run starts a server that must be root: sudo -E make run"; exit 1; }
	exec $(RELEASE)/sampan serve --data-root $(RUN_ROOT) --state-root $(RUN_STATE) --http $(RUN_HTTP) --docker-sock $(RUN_STATE)/docker.sock

clean-run: ## ends what `make run` started and gives back ids, networks and cgroups; the data stays
	$(RELEASE)/sampan down --purge --data-root $(RUN_ROOT) --state-root $(RUN_STATE)

images: ## makes the images that the tests load, from Debian's packages, in ~/.cache/sampan-images
	tests/images/prepare

check: web ## formatting, floors, texts of the pages, licences
	cargo fmt --all --check
	cd web && npx tsc --noEmit -p .
	tools/check-floors
	@if command -v cargo-deny >/dev/null; then $(MAKE) licences; else echo "cargo-deny is not installed: licences were not checked (make cargo-deny)"; fi

cargo-deny: ## installs the program that `make licences` needs, built from crates.io
	@command -v cargo-deny >/dev/null || cargo install cargo-deny --locked --target-dir $(CARGO_TARGET_DIR)/cargo-deny

licences: cargo-deny ## licences, unwanted crates and sources of all that is linked into Sampan, by deny.toml
	cargo deny --offline check licenses bans sources

advisories: cargo-deny ## known weaknesses of what is linked; asks the network
	cargo deny check advisories

lint: web ## clippy with the workspace's lints, every warning an error
	cargo clippy --quiet --workspace --all-targets -- -D warnings

test: ## all that CI runs: formatting, floors, clippy, unit and end-to-end tests, the walk
	tools/host-packages tests
	$(MAKE) web check lint
	tests/run

test-all: test ## the same, and the whole walk in virtual machines with cgroup v2
	$(MAKE) vm

walk: build ## the promises, one PASS line each, as a stranger would type them
	tests/walk

bench: build ## figures beside crun, runc, podman and docker where they are installed
	tools/host-packages bench
	tests/clients/install
	tests/clients/install --peers
	tests/bench/run

-include Makefile.d/*.mk
