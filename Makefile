# Needs cargo and make, nothing else. The lines that begin with ## are the help.

CARGO ?= cargo
TARGET = $(shell uname -m)-unknown-linux-gnu
KERNELS = $(or $(HERD_KERNELS),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/herd/kernels)$(if $(RT),/rt)
# Where `make install` puts things; DESTDIR is for packagers.
PREFIX ?= /usr/local
MAN = $(DESTDIR)$(PREFIX)/share/man/man1
BASH = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
HERD = $(CARGO) run --quiet --release --

.DEFAULT_GOAL := help
.PHONY: help build static kernels matrix vm-check herd test check bench explain run list install uninstall clean cargo

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

# Neither a dynamic linker nor relocations nor tables for unwinding: nobody unwinds there.
STATIC_FLAGS = -C target-feature=+crt-static -C relocation-model=static -C force-unwind-tables=no

## make static          build target/init/.../herd, which boots as /init of any kernel
static: cargo
	RUSTFLAGS="$(STATIC_FLAGS)" $(CARGO) build --profile static --bin herd \
		--target $(TARGET) --target-dir target/init

## make kernels         fetch the smallest kernel of each Debian suite (no root; RT=1: PREEMPT_RT)
kernels:
	contrib/kernels.sh $(if $(RT),--rt)

# The headline, and every row that changed since Linux 5.10 beside one that did not.
# Threads see the same; an emulated kernel takes about a quarter of a second for each cell.
MATRIX = herd io-uring:accept io-uring:multishot io-uring:poll 'io-uring:poll + EXCLUSIVE' \
	full-pipe:write 'full-pipe:write eighths' 'full-pipe:epoll + EXCLUSIVE eighths' \
	'steering:incoming CPU, client on CPU 0' 'steering:incoming CPU, client on CPU 1' \
	'closing-listener:as it is' 'closing-listener:migrate on' unix-reuseport --set placement=processes

## make matrix          the headline and what differs between kernels, over all of them (RT=1)
matrix: static
	@set -- $(KERNELS)/*.deb; test -e "$$1" || { echo "no kernels in $(KERNELS); make kernels fetches some" >&2; exit 2; }; \
		target/init/$(TARGET)/static/herd vm $(or $(X),$(MATRIX)) --jobs 2 --kernel "$$@" $(if $(RT),,host)

## make vm-check        boot two kernels in QEMU and check the headline there
vm-check:
	contrib/vm-check.sh

## make install         the program, man pages and completions below PREFIX=/usr/local
# BUILT names a herd that is there already, and nothing is built.
BUILT =
install: $(if $(BUILT),,build)
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(MAN)" "$(BASH)" "$(ZSH)" "$(FISH)"
	install -m 755 "$(or $(BUILT),$(or $(CARGO_TARGET_DIR),target)/release/herd)" "$(DESTDIR)$(PREFIX)/bin/herd"
	"$(DESTDIR)$(PREFIX)/bin/herd" __man "$(MAN)"
	@files=$$(mktemp -d) && "$(DESTDIR)$(PREFIX)/bin/herd" __completions "$$files" && \
		install -m 644 "$$files/herd.bash" "$(BASH)/herd" && install -m 644 "$$files/_herd" "$(ZSH)/_herd" && \
		install -m 644 "$$files/herd.fish" "$(FISH)/herd.fish"; code=$$?; rm -rf "$$files"; exit $$code

## make uninstall       remove what `make install` put there
uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/bin/herd" "$(MAN)"/herd.1 "$(MAN)"/herd-*.1 \
		"$(BASH)/herd" "$(ZSH)/_herd" "$(FISH)/herd.fish"

## make clean           remove everything that was built
clean: cargo
	$(CARGO) clean

cargo:
	@command -v $(CARGO) >/dev/null 2>&1 || { \
		echo "cargo is not on the PATH; install Rust 1.90 or newer (https://rustup.rs) and try again" >&2; \
		exit 1; }
