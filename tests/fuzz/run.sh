#!/usr/bin/env bash
# Fuzzes one target: tests/fuzz/run.sh TARGET [SECONDS]; TARGET is `vet`, `compile` or `dns`.
#
# Builds with coverage on the stable toolchain, so that no other tool has to be there; `cargo fuzz run --fuzz-dir tests/fuzz
# TARGET` does the same where cargo-fuzz is installed, with a sanitizer on top. What is found lies in artifacts/TARGET; give
# such a file as a third argument to run it alone. The corpus is kept between runs. Seeds of the run are printed by libFuzzer.
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?"usage: run.sh TARGET [SECONDS [FILE]]"}
seconds=${2:-60}
declare -A longest=([vet]=600000 [compile]=4096 [dns]=4096)
build=${CARGO_TARGET_DIR:-$PWD/target}
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1"
# With a target named, build scripts and macros are built without coverage.
RUSTFLAGS=$coverage cargo build --locked --target "$host" --bins
bin=$build/$host/debug
mkdir -p "corpus/$target" "artifacts/$target"
if [[ $target == dns ]]; then
  # ww.e A, with EDNS.
  printf '\0\1\1\0\0\1\0\0\0\0\0\1\2ww\1e\0\0\1\0\1\0\0\51\4\320\0\0\200\0\0\0' > corpus/dns/question
else
  "$bin/seeds" "corpus/$target" "${longest[$target]}"
fi
# A second of a slow machine is not what is looked for, a minute is.
exec "$bin/$target" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" -max_len="${longest[$target]}" \
  -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 "${3:-corpus/$target}"
