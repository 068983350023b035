.PHONY: faults
test-all: faults

faults: ## the server killed and refused at every fault point by every verb that passes it; `make test` tries each point once
	tests/images/prepare
	cargo build --quiet --workspace --bins
	SAMPAN_ALL_FAULTS=1 cargo test --workspace --test faults -- --nocapture
