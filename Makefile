# OSS2FA's commands. `make` lists them; `make test` is what CI runs.

SHELL = /bin/sh
.DEFAULT_GOAL = help

# Where `make install` puts things. DESTDIR is a root in front of it all, for packages.
PREFIX ?= /usr/local
DESTDIR ?=
BUILD_DIR ?= target/release
# libpam looks for modules here, whatever PREFIX is.
PAM_DIR ?= /usr/lib/$(shell dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || $(CC) -print-multiarch)/security
UNIT_DIR ?= /etc/systemd/system
APPARMOR_DIR ?= /etc/apparmor.d
SHARE = $(DESTDIR)$(PREFIX)/share
DOC = $(SHARE)/doc/oss2fa-agent
SERVER_DOC = $(SHARE)/doc/oss2fa-server

# $(call step,WORDS,COMMAND): says what runs, how long it took, and stops at the first failure.
step = @printf '\n== %s\n' '$(1)'; start=$$(date +%s); $(2) || \
	{ status=$$?; printf '== FAILED after %s s: %s\n' "$$(($$(date +%s) - start))" '$(1)' >&2; exit $$status; }; \
	printf '== %s: %s s\n' '$(1)' "$$(($$(date +%s) - start))"

# In CI nothing is built twice: incremental files would only cost time and disk there.
ifdef CI
export CARGO_INCREMENTAL = 0
export CARGO_PROFILE_DEV_DEBUG = 0
endif

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

.PHONY: build
build: ## the PAM module, the agent and the server, optimised, in target/release
	cargo build --release --locked -p pam_oss2fa -p oss2fa-agent -p oss2fa-server

.PHONY: demo
demo: ## logins with a second factor on this machine, and the server's API, from nothing; HOLD=1 keeps sshd open
	@packaging/install-test-packages.sh demo
	@$(MAKE) --no-print-directory build
	@cargo run -q --locked -p oss2fa-tests --bin oss2fa-server-demo
	@cargo run -q --locked -p oss2fa-tests --bin oss2fa-demo -- $(if $(HOLD),--hold)

.PHONY: test
test: ## everything that CI checks; installs what it needs; as root on Debian 12
	$(call step,Debian packages,packaging/install-test-packages.sh test)
	$(call step,peers from PyPI,tests/peers/install.sh)
	$(call step,format,cargo fmt --all --check)
	$(call step,lints,cargo clippy --workspace --all-targets --locked -- -D warnings)
	$(call step,the programs,$(MAKE) --no-print-directory build)
	$(call step,the guest with a security key,tests/guest/prepare.sh)
	$(call step,tests,$(run_tests))
	$(call step,examples in the documentation,cargo test --doc --workspace --locked)
	$(call step,fuzz smoke,tests/fuzz/smoke.sh)

.PHONY: test-keys
test-keys: ## enrolment and logins with security keys alone: one guest with a kernel of its own, some two minutes
	$(call step,Debian packages,packaging/install-test-packages.sh test)
	$(call step,peers from PyPI,tests/peers/install.sh)
	$(call step,the programs,$(MAKE) --no-print-directory build)
	$(call step,the guest with a security key,tests/guest/prepare.sh)
	$(call step,the program that drives keys,cargo build --locked -p oss2fa-agent --example key_probe)
	$(call step,security keys,$(run_keys))

# nextest where it is installed: it runs each test in a process of its own, several at once, and shows
# the slow ones. Without it the same tests run, one program after another. Many wait for a time to pass: half as many
# more than there are processors.
run_tests = if cargo nextest --version >/dev/null 2>&1; then \
	cargo nextest run --workspace --locked --no-fail-fast --test-threads "$$(($$(nproc) * 3 / 2))"; \
	else cargo test --workspace --locked --no-fail-fast --lib --bins --examples --tests; fi

# What everybody does with a key. The guests that go further are in `make test`; they run one after the other: see
# .config/nextest.toml.
run_keys = if cargo nextest --version >/dev/null 2>&1; then \
	cargo nextest run --locked -p oss2fa-tests -E 'binary(keys_guest)' --no-fail-fast --success-output final; \
	else cargo test --locked -p oss2fa-tests --test keys_guest -- --show-output; fi

.PHONY: bench
bench: ## the promises about speed and size, against the peers; writes target/bench/results.json
	@packaging/install-test-packages.sh test
	@tests/peers/install.sh
	@$(MAKE) --no-print-directory build
	@cargo run --release -q --locked -p oss2fa-tests --bin oss2fa-bench

.PHONY: packages
packages: build ## Debian and RPM packages of the agent and of the server, in target/packages
	rm -rf target/packages
	packaging/debian/build-deb.sh oss2fa-agent
	packaging/debian/build-deb.sh oss2fa-server
	packaging/rpm/build-rpm.sh

.PHONY: install
install: install-agent install-server ## what `make build` built, below DESTDIR and PREFIX; changes no login

# $(call documentation,PROGRAM): manual pages and completions.
define documentation
	install -d $(SHARE)/man/man1
	$(BUILD_DIR)/$(1) man $(SHARE)/man/man1
	install -d $(SHARE)/bash-completion/completions $(SHARE)/zsh/vendor-completions $(SHARE)/fish/vendor_completions.d
	$(BUILD_DIR)/$(1) completions bash >$(SHARE)/bash-completion/completions/$(1)
	$(BUILD_DIR)/$(1) completions zsh >$(SHARE)/zsh/vendor-completions/_$(1)
	$(BUILD_DIR)/$(1) completions fish >$(SHARE)/fish/vendor_completions.d/$(1).fish
endef

# $(call unit,PROGRAM): its systemd unit, user and folders.
define unit
	install -d $(DESTDIR)$(UNIT_DIR)
	sed 's|^ExecStart=/usr/bin/|ExecStart=$(PREFIX)/bin/|' packaging/systemd/$(1).service \
		>$(DESTDIR)$(UNIT_DIR)/$(1).service
	chmod 0644 $(DESTDIR)$(UNIT_DIR)/$(1).service
	install -D -m 0644 packaging/systemd/$(1).sysusers $(DESTDIR)/usr/lib/sysusers.d/$(1).conf
	install -D -m 0644 packaging/systemd/$(1).tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/$(1).conf
endef

.PHONY: install-agent
install-agent:
	install -D -m 0644 $(BUILD_DIR)/libpam_oss2fa.so $(DESTDIR)$(PAM_DIR)/pam_oss2fa.so
	install -D -m 0755 $(BUILD_DIR)/oss2fa-agent $(DESTDIR)$(PREFIX)/bin/oss2fa-agent
	install -d $(DESTDIR)/etc/oss2fa
	test -e $(DESTDIR)/etc/oss2fa/agent.toml || install -m 0644 config/agent.toml $(DESTDIR)/etc/oss2fa/agent.toml
	$(call unit,oss2fa-agent)
	install -m 0644 packaging/systemd/oss2fa-agent.socket $(DESTDIR)$(UNIT_DIR)/oss2fa-agent.socket
	install -D -m 0644 packaging/pam-configs/oss2fa $(DESTDIR)/usr/share/pam-configs/oss2fa
	install -D -m 0644 packaging/udev/oss2fa-agent.rules $(DESTDIR)/usr/lib/udev/rules.d/70-oss2fa-agent.rules
	install -D -m 0644 packaging/systemd/oss2fa-agent-server.conf $(SHARE)/oss2fa-agent/systemd/server.conf
	install -d $(DESTDIR)$(APPARMOR_DIR) $(SHARE)/oss2fa-agent/selinux
	sed 's|/usr/bin/|$(PREFIX)/bin/|' packaging/apparmor/oss2fa-agent >$(DESTDIR)$(APPARMOR_DIR)/oss2fa-agent
	install -m 0644 packaging/selinux/oss2fa_agent.* $(SHARE)/oss2fa-agent/selinux/
	sed -i 's|/usr/bin/|$(PREFIX)/bin/|' $(SHARE)/oss2fa-agent/selinux/oss2fa_agent.*
	chmod 0644 $(DESTDIR)$(APPARMOR_DIR)/oss2fa-agent
	$(call documentation,oss2fa-agent)
	install -d $(DOC)/examples/pam.d $(DOC)/examples/sshd_config.d
	install -m 0644 config/pam.d/* $(DOC)/examples/pam.d/
	install -m 0644 config/sshd_config.d/* $(DOC)/examples/sshd_config.d/
	install -m 0644 packaging/pam-configs/README.md $(DOC)/pam-auth-update.md
	$(if $(DESTDIR),,@echo "Next: systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload &&"; \
	echo "systemctl enable --now oss2fa-agent.socket, then oss2fa-agent enroll totp --user NAME. The stacks that"; \
	echo "ask for a code are in $(DOC)/examples; nothing asks for one until you copy them.")

.PHONY: install-server
install-server:
	install -D -m 0755 $(BUILD_DIR)/oss2fa-server $(DESTDIR)$(PREFIX)/bin/oss2fa-server
	$(call unit,oss2fa-server)
	$(call documentation,oss2fa-server)
	install -d $(DESTDIR)/etc/oss2fa
	test -e $(DESTDIR)/etc/oss2fa/server.toml || install -m 0644 config/server.toml $(DESTDIR)/etc/oss2fa/server.toml
	install -D -m 0644 oss2fa-server/openapi.json $(SERVER_DOC)/openapi.json
	$(if $(DESTDIR),,@echo "Next: systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload &&"; \
	echo "systemctl enable --now oss2fa-server, then journalctl -u oss2fa-server: it shows the token of the first"; \
	echo "integration this once. /etc/oss2fa/server.toml lists what can be set.")

.PHONY: clean
clean: ## removes everything that was built
	cargo clean
