# Shortcuts for the steps of .ci/run, which has the commands. `just` lists them.

_default:
    @just --list --unsorted

# Run every check that must pass before a change is merged
all:
    .ci/run

# Run the tests of the four packages
test:
    .ci/run test

# Run the tests of the library, with only its own features
library:
    .ci/run library

# Run the quickstart
quickstart:
    .ci/run quickstart

# Run the other examples
examples:
    .ci/run examples

# Test and run the example of several services
shop:
    .ci/run shop

# Check the format of the code
style:
    .ci/run style

# Lint the four packages
lint:
    .ci/run lint

# Build the documentation, and treat warnings as errors
docs:
    .ci/run docs

# Check every combination of features that makes sense
features:
    .ci/run features

# Check that the dependency tree has one HTTP client, one TLS stack and one OpenTelemetry
tree:
    .ci/run tree

# Compile with the minimum Rust version (needs `rustup toolchain install 1.88`)
msrv:
    .ci/run msrv

# Compile the library for other systems (needs `rustup target add` for each)
targets:
    .ci/run targets

# Build the packages from the files that would be published
package:
    .ci/run package

# Check licences and sources of dependencies (needs cargo-deny), and spelling (needs typos)
policy:
    .ci/run policy

# Play random faults of the endpoint for a minute, and account for every record
soak:
    .ci/run soak

# Try the orders in which threads can meet in the outbox
loom:
    .ci/run loom

# Run the tests of unsafe code under the address sanitizer (needs a nightly compiler)
sanitizer:
    .ci/run sanitizer

# Send to a receiver that decodes with Google's protobuf (needs Python 3)
strict:
    .ci/run strict

# Send to receivers written by others (needs Python 3)
interop:
    .ci/run interop

# Open the page of `logbridge run` in a browser (needs Chromium)
page:
    .ci/run page

# Format and lint the packages outside the workspace
others:
    .ci/run others

# Fuzz filters, variables and spool files for a minute each
fuzz:
    .ci/run fuzz

# Run the slow versions of the tests, and the benchmark
long:
    .ci/long

# Write docs/findings.md anew
findings:
    cargo run --locked --quiet -p logbridge-cli -- explain --markdown > docs/findings.md.new
    mv docs/findings.md.new docs/findings.md
