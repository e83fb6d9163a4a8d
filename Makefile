# Builds, runs and tests the module.  "make help" lists the targets;
# docs/development.md says more.

# What to build against: the headers that Debian's nginx-dev installs, or a
# whole source tree of any nginx from 1.22 on (make NGINX_SRC=/path/to/nginx).
# It is copied, never written to.

NGINX_SRC   ?= /usr/share/nginx/src

# For nginx's configure.  The module loads into every nginx of the same
# version that was built --with-compat.

NGINX_FLAGS = --with-compat --with-debug --with-threads \
              --with-http_ssl_module --with-http_v2_module \
              --with-http_realip_module --with-http_auth_request_module \
              --with-http_stub_status_module

CFLAGS      = -O2 -g -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
              -Wformat -Werror=format-security
LDFLAGS     = -Wl,-z,relro -Wl,-z,now

# Where "make install" puts what.

DESTDIR     ?=
PREFIX      ?= /usr/local
SHARE_DIR   = $(PREFIX)/share/nginx-provisioning
MODULES_DIR = $(shell PATH="$$PATH:/usr/sbin" nginx -V 2>&1 \
                      | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')

# Where "make run" and "make start" listen, on 127.0.0.1.

PORT        ?= 8080

# "make test": 0 is the plain build only, 1 the sanitized one only, both else.
# TESTS are the files, all of t/ when empty; JOBS how many at a time.

SANITIZE    ?=
TESTS       ?=
JOBS        ?= 2


BUILD       = build
MODULE      = ngx_http_provisioning_module.so

sources = config ngx_http_provisioning_module.c \
          $(sort $(wildcard src/*/*.c src/*/*.h))

# The sanitized nginx is built of its own source: the one given, or the one of
# Debian's package.

whole  = $(wildcard $(NGINX_SRC)/src/core/nginx.c)
SOURCE = $(if $(whole),$(NGINX_SRC),build/source/nginx)

# nginx writes its own integers to any address and passes null pointers with a
# length of 0; the module has no such excuse.

sanitizers = -fsanitize=address,undefined -fno-omit-frame-pointer
san_cflags = -O1 -g $(sanitizers) -DNGX_DEBUG_PALLOC=1
san_nginx  = $(san_cflags) -fno-sanitize=alignment,nonnull-attribute

# nginx's own makefile has variables of the same names as ours: what was set on
# our command line is not for it.

jobs  = $(or $(filter -j%,$(MAKEFLAGS)),-j$(shell nproc 2>/dev/null || echo 2))
inner = env -u MAKEFLAGS -u MAKELEVEL $(MAKE) $(if $(V),,-s) $(jobs) \
        -f objs/Makefile

# "V=1" shows what is otherwise written to a log.

quietly = $(if $(V),,> $(1).log 2>&1 || { tail -n 30 $(1).log >&2; \
            echo 'All of it is in $(1).log' >&2; exit 1; })

unexport CFLAGS LDFLAGS


.PHONY: all nginx sanitized install run start stop test lint bench clean \
        help FORCE

all: $(BUILD)/$(MODULE)


# Our sources are built in a tree that is configured anew when their list, the
# arguments or the nginx have changed; nginx's own makefile knows the rest.

$(BUILD)/$(MODULE): $(BUILD)/module/configured $(sources)
	@echo 'Building $@'
	@$(inner) -C $(BUILD)/module modules $(call quietly,$(BUILD)/module)
	@cp $(BUILD)/module/objs/$(MODULE) $@.new
	@if nm -D --undefined-only $@.new | grep ' prov_'; then \
	    echo 'These functions are called and nowhere defined.' >&2; exit 1; fi
	@mv $@.new $@

$(BUILD)/module/configured: $(BUILD)/module.arguments t/build/configure
	@echo 'Configuring for the nginx in $(NGINX_SRC)'
	@t/build/configure '$(NGINX_SRC)' $(BUILD)/module \
	    --add-dynamic-module='$(CURDIR)' --with-cc-opt='$(CFLAGS)' \
	    --with-ld-opt='$(LDFLAGS)' $(NGINX_FLAGS) \
	    $(call quietly,$(BUILD)/module)
	@touch $@

$(BUILD)/module.arguments: FORCE
	@case '$(CURDIR)$(NGINX_SRC)' in *[[:space:]\"\\]*) \
	    echo 'nginx cannot be built in a directory whose name has a blank,' \
	         'a quote or a backslash in it: $(CURDIR)' >&2; exit 1;; esac
	@test -f '$(NGINX_SRC)/src/core/nginx.h' || { \
	    echo 'There is no nginx in $(NGINX_SRC): install its headers' \
	         '(apt-get install nginx-dev), or say where its source is' \
	         '(make NGINX_SRC=/path/to/nginx).' >&2; exit 1; }
	@mkdir -p $(BUILD)
	@{ echo '$(CURDIR) $(NGINX_SRC) $(NGINX_FLAGS) $(CFLAGS) $(LDFLAGS)'; \
	   echo $(filter %.c,$(sources)); \
	   cksum config '$(NGINX_SRC)/src/core/nginx.h'; } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi


# An nginx itself, for tests: of a source tree, or sanitized.

nginx: $(BUILD)/nginx

$(BUILD)/nginx: $(BUILD)/server/configured
	@echo 'Building $@'
	@$(inner) -C $(BUILD)/server binary $(call quietly,$(BUILD)/server)
	@cp $(BUILD)/server/objs/nginx $@.new && mv $@.new $@

$(BUILD)/server/configured: $(BUILD)/server.arguments t/build/configure \
                            t/build/keep.c
	@echo 'Configuring the nginx in $(NGINX_SRC)'
	@$(CC) -c -o $(BUILD)/keep.o t/build/keep.c
	@t/build/configure '$(NGINX_SRC)' $(BUILD)/server \
	    --with-cc-opt='$(NGINX_CFLAGS)' \
	    --with-ld-opt='$(LDFLAGS) $(KEEP)' $(NGINX_FLAGS) \
	    $(call quietly,$(BUILD)/server)
	@touch $@

$(BUILD)/server.arguments: FORCE
	@mkdir -p $(BUILD)
	@{ echo '$(NGINX_SRC) $(NGINX_FLAGS) $(NGINX_CFLAGS) $(LDFLAGS)'; \
	   cksum '$(NGINX_SRC)/src/core/nginx.h'; } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

NGINX_CFLAGS = $(CFLAGS)

sanitized: $(SOURCE)/src/core/nginx.c
	@$(MAKE) --no-print-directory BUILD=build/sanitized NGINX_SRC='$(SOURCE)' \
	    CFLAGS='$(san_cflags)' NGINX_CFLAGS='$(san_nginx)' \
	    LDFLAGS='$(sanitizers)' KEEP='$(CURDIR)/build/sanitized/keep.o' \
	    nginx all

build/source/nginx/src/core/nginx.c:
	@echo 'Fetching the source of the installed nginx'
	@mkdir -p build
	@t/build/source build/source $(call quietly,build/source)


install: all
	@test -n '$(MODULES_DIR)' || { \
	    echo 'No nginx says where its modules are: say it' \
	         '(make install MODULES_DIR=/path).' >&2; exit 1; }
	install -d '$(DESTDIR)$(MODULES_DIR)' '$(DESTDIR)$(SHARE_DIR)'
	install -m 644 $(BUILD)/$(MODULE) '$(DESTDIR)$(MODULES_DIR)'
	rm -rf '$(DESTDIR)$(SHARE_DIR)/sql' '$(DESTDIR)$(SHARE_DIR)/openapi'
	cp -R sql conf/openapi '$(DESTDIR)$(SHARE_DIR)'
	rm -rf '$(DESTDIR)$(SHARE_DIR)/sql/tests'
	install -m 644 conf/nginx.conf '$(DESTDIR)$(SHARE_DIR)'
	chmod -R u=rwX,go=rX '$(DESTDIR)$(SHARE_DIR)'


run start:
	@t/build/packages run
	@$(MAKE) --no-print-directory all
	@env --default-signal=INT conf/demo/gateway $@ '$(PORT)'

stop:
	@conf/demo/gateway stop


test:
	@t/build/packages test
	@test '$(SANITIZE)' = 1 || $(MAKE) --no-print-directory all \
	    $(if $(whole),nginx)
	@test '$(SANITIZE)' = 0 || $(MAKE) --no-print-directory sanitized
	@PROV_TEST_WHOLE='$(if $(whole),$(CURDIR)/$(BUILD)/nginx)' \
	    PROV_TEST_SOURCE='$(SOURCE)' t/build/prove '$(SANITIZE)' '$(JOBS)' $(TESTS)

lint:
	@t/build/packages lint
	@$(MAKE) --no-print-directory build/module/configured
	@t/build/lint

bench:
	@t/build/packages bench
	@$(MAKE) --no-print-directory all
	@ulimit -n 8192 2>/dev/null; bench/measure


clean:
	rm -rf build

help:
	@echo 'make            build the module for the installed nginx'
	@echo '                (for another one: make NGINX_SRC=/path/to/nginx)'
	@echo 'make install    DESTDIR= PREFIX= MODULES_DIR='
	@echo 'make run        the gateway with a database of its own: PORT=8080'
	@echo 'make start      the same in the background, until make stop'
	@echo 'make test       all tests: SANITIZE=0|1 TESTS="t/a.t t/b.t"'
	@echo 'make lint       what a compiler, cppcheck and a few rules say'
	@echo 'make bench      what it does beside pgbench: BENCH_QUICK=1 PEERS=1'
	@echo 'make clean      what was built; the data in .run/ stays'
	@echo 'docs/development.md says more.'
