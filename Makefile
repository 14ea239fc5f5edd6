# make run    the demo: an origin, an edge and a page that plays both
# make test   everything, with the end-to-end tests; installs what they need with apt and npm, and says so
# make build  bin/earshot
# make players, make soak, make bench, make fuzz   the long ones; see docs/testing.md

GO ?= go
export CGO_ENABLED = 1

STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build run test setup lint unit plain race e2e players soak bench fuzz

build:
	$(GO) build -o bin/earshot ./cmd/earshot

run: build
	bin/earshot demo

test: setup lint plain race e2e

setup:
	e2e/setup.sh

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(STATICCHECK) ./...
	$(GO) mod tidy -diff

unit:
	$(GO) test -p 4 $$($(GO) list ./... | grep -v /e2e)

# PLAIN are the packages with tests that the race detector does not run, or runs for a shorter time; the others' are run once, under it.
PLAIN = ./bench ./config ./demo ./gate ./origin ./playlist ./proxy ./session

plain:
	$(GO) test -p 4 $(PLAIN)

race:
	$(GO) test -p 4 -race -short $$($(GO) list ./... | grep -v -e /e2e -e /bench -e /demo -e /config)

e2e:
	$(GO) test -count=1 -parallel 6 -timeout 12m ./e2e

players: setup
	EARSHOT_LONG=1 $(GO) test -count=1 -timeout 40m -v ./e2e

SOAKTIME ?= 10m
SOAKLIMIT ?= 20m

soak: setup
	EARSHOT_SOAK=$(SOAKTIME) $(GO) test -count=1 -run '^TestSoak$$' -timeout $(SOAKLIMIT) -v ./e2e

bench:
	$(GO) run ./bench
	$(GO) test -run '^$$' -bench . ./playlist ./session ./session/redislive ./gate ./auth ./blackout ./listen ./relay ./store

FUZZTIME ?= 1m

fuzz:
	@for pkg in config playlist session listen proxy relay admin auth blackout; do \
		for f in $$($(GO) test -list '^Fuzz' ./$$pkg | grep ^Fuzz); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$pkg || exit 1; \
		done; \
	done
