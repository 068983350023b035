# `make help` lists the targets.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help build test

help: ## lists the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## builds the release binaries: sampan and sampan-runtime
	cargo build --release -p sampan
	cargo rustc --release -p sampan-runtime --bin sampan-runtime -- -C target-feature=+crt-static

test: ## all that CI runs
	cargo fmt --check
	cargo test --workspace
