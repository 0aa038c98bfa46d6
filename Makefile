# Needs cargo and make, nothing else. The lines that begin with ## are the help.

CARGO ?= cargo
HERD = $(CARGO) run --quiet --release --

.DEFAULT_GOAL := help
.PHONY: help build herd test check bench explain run list clean cargo

## make help            these lines
help:
	@sed -n 's/^## //p' Makefile

## make build           build target/release/herd
build: cargo
	$(CARGO) build --release

## make herd            build, then show the herd and the fix (the headline)
herd: build
	@$(HERD) run herd

## make test            run all tests
test: cargo
	$(CARGO) test

## make check           formatting, clippy, tests, documentation: what CI runs
check: cargo
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) test
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps

## make bench           speed, exactness and size, with bounds (minutes; QUICK=1: seconds)
bench: build
	$(CARGO) bench --bench lab -- $(if $(QUICK),--quick)

## make explain X=herd  the lesson behind an experiment
explain: build
	@test -n "$(X)" || { echo "which one? make explain X=herd (make list shows the names)" >&2; exit 2; }
	@$(HERD) explain $(X)

## make run X=herd      run one or more experiments
run: build
	@test -n "$(X)" || { echo "which one? make run X=herd (make list shows the names)" >&2; exit 2; }
	@$(HERD) run $(X)

## make list            the experiments there are
list: build
	@$(HERD) list

## make clean           remove everything that was built
clean: cargo
	$(CARGO) clean

cargo:
	@command -v $(CARGO) >/dev/null 2>&1 || { \
		echo "cargo is not on the PATH; install Rust 1.90 or newer (https://rustup.rs) and try again" >&2; \
		exit 1; }
