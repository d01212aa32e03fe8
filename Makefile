# The two for a newcomer are `make demo` and `make test`; `make` alone lists them all.
PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
TARGET_DIR ?= $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
BINARY = $(TARGET_DIR)/release/ovz2lxc

.PHONY: help demo test soak lint bench fuzz lab lab-test lab-down build install docs clean
.DEFAULT_GOAL := help

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## migrates a real Debian container from a small OpenVZ node on this machine, and starts it under LXC
	@demo/demo.sh

test: ## runs every test that can run here; says which could not, and why
	@scripts/deps.sh --best-effort build test
	@scripts/test.sh

soak: ## starts real guests and watches them for a minute: no login may respawn; thousands of random deltas
	@scripts/deps.sh --best-effort build test
	$(CARGO) test --test boots -- --ignored
	$(CARGO) test --test transfer -- --ignored

lint: ## format, clippy, rustdoc, shellcheck: every warning is an error
	@scripts/deps.sh --best-effort build lint
	@scripts/lint.sh

bench: build ## paired runs of the copy against rsync and tar (about 18 minutes); BENCH=million for 1,000,000 entries
	@scripts/deps.sh --best-effort bench
	benches/transfer.py $(BENCH)

fuzz: ## ten minutes of random VE configurations, walks and archives against their readers; MINUTES=N for more or less
	@scripts/deps.sh --best-effort build fuzz
	@scripts/fuzz.sh $(MINUTES)

lab: ## brings up the two-node cluster in virtual machines
	@scripts/deps.sh lab
	@tests/lab/lab.sh up

lab-test: ## migrates into that cluster: needs `make lab`
	@tests/lab/lab.sh test

lab-down: ## ends the virtual machines and removes their disks
	@tests/lab/lab.sh down

build: ## the release binary
	@scripts/deps.sh --best-effort build
	$(CARGO) build --release

install: build ## into $(DESTDIR)$(PREFIX): the binary, man pages, completions
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/sbin/ovz2lxc
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(BINARY) man $(DESTDIR)$(PREFIX)/share/man/man1
	$(BINARY) completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ovz2lxc
	$(BINARY) completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ovz2lxc
	$(BINARY) completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ovz2lxc.fish

docs: build ## the API documentation and the man pages, below target/
	$(CARGO) doc --no-deps
	@mkdir -p $(TARGET_DIR)/man
	$(BINARY) man $(TARGET_DIR)/man

clean: ## removes what was built; the cached trees stay
	$(CARGO) clean
