#!/usr/bin/env bash
# Runs the sandbox's tests, as root and as a user with a delegated group, and with --demo the whole product, on a real
# kernel with the cgroup layout asked for:
#
#   run.sh v2|v1|hybrid [--demo]
#
# Why so: a machine has one layout and a test must not remount it. An emulated VM (no KVM needed) boots Debian's cloud
# kernel, unpacked and not installed, with busybox and statically linked test binaries as its only files, in seconds.
# Emulation is 10 to 30 times slower than the machine: it shows behaviour, never speed.
#
# Needs qemu-system-x86, busybox-static, cpio, and apt for the kernel package. Without them it prints SKIPPED and the
# reason, and exits 0. Exits 1 when a test fails or the VM does not come to its end, 64 when called wrongly. All that it
# writes is below target/vm (or HYPERMESH_VM_DIR). HYPERMESH_BIN names a built product for --demo, else it is built.
set -euo pipefail

layout=${1:-} demo=${2:-}
[[ $layout =~ ^(v2|v1|hybrid)$ && $demo =~ ^(--demo)?$ ]] || { echo "usage: run.sh v2|v1|hybrid [--demo]" >&2; exit 64; }
cd "$(dirname "$0")/../.."
at=${HYPERMESH_VM_DIR:-$PWD/target/vm}
mkdir -p "$at"
target=x86_64-unknown-linux-gnu
# All tests take about a minute and a half, the demo compiles guests with an emulated CPU.
limit_s=900 memory_mib=2048

skip() { echo "SKIPPED: $*"; exit 0; }

[[ $(uname -m) == x86_64 ]] || skip "the kernel and the tests are for x86_64"
for tool in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio gzip:gzip; do
  command -v "${tool%%:*}" >/dev/null || skip "no ${tool%%:*} (package ${tool##*:})"
done
busybox=$(command -v busybox)
! ldd "$busybox" >/dev/null 2>&1 || skip "$busybox is not static (package busybox-static)"

# The kernel: downloaded once, unpacked, never installed.
kernel() { find "$at/kernel/boot" -name 'vmlinuz-*' 2>/dev/null | head -n 1; }
if [[ -z $(kernel) ]]; then
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || skip "no apt-get to fetch a kernel package with"
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
  [[ -n $package ]] || skip "apt knows no linux-image-cloud-amd64 (apt-get update?)"
  (cd "$at" && apt-get download "$package" >apt.log 2>&1) || skip "apt-get download $package failed, see $at/apt.log"
  dpkg -x "$at/$package"_*.deb "$at/kernel" && rm -f "$at/$package"_*.deb
  [[ -n $(kernel) ]] || skip "$package has no kernel"
fi

# The tests, linked so that they need nothing else; in a folder of their own, since the flags would rebuild everything.
echo "== building the tests"
log=$at/build.log
CARGO_TARGET_DIR=$at/build RUSTFLAGS="-C target-feature=+crt-static" \
  cargo test --locked --package hypermesh-sandbox --target "$target" --no-run 2>&1 | tee "$log" | grep -v Compiling
mapfile -t tests < <(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$log")
((${#tests[@]})) || { echo "cargo named no test binary" >&2; exit 1; }

# What the VM sees: busybox, the tests, and init.
root=$at/root
rm -rf "$root"
mkdir -p "$root"/{bin,proc,sys,dev,tmp,tests}
cp "$busybox" "$root/bin/busybox"
for test in "${tests[@]}"; do
  name=$(basename "${test%-*}")
  strip -o "$root/tests/$name" "$test" 2>/dev/null || cp "$test" "$root/tests/$name"
done
if [[ -n $demo ]]; then
  product=${HYPERMESH_BIN:-${CARGO_TARGET_DIR:-target}/debug/hypermesh}
  if [[ -z ${HYPERMESH_BIN:-} ]]; then
    echo "== building the product"
    cargo build --locked --package hypermesh
  fi
  strip -o "$root/bin/hypermesh" "$product" 2>/dev/null || cp "$product" "$root/bin/hypermesh"
  # Its loader and libraries, where it looks for them.
  ldd "$product" | grep -o '/[^ ]*' | while read -r file; do install -D "$(realpath "$file")" "$root$file"; done
fi
install -m 755 tests/vm/init "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$at/initrd.gz"

echo "== booting with cgroup $layout"
out=$at/$layout.log
timeout "$limit_s" qemu-system-x86_64 -nodefaults -no-user-config -M q35,usb=off -accel tcg -cpu max -smp 2 \
  -m "$memory_mib" -nographic -serial stdio -monitor none -no-reboot -kernel "$(kernel)" -initrd "$at/initrd.gz" \
  -append "console=ttyS0 quiet panic=-1 psi=1 mitigations=off layout=$layout" </dev/null | tr -d '\r' | tee "$out" || true
grep -q '^VM: all passed$' "$out" || { echo "cgroup $layout: failed, see $out" >&2; exit 1; }
echo "cgroup $layout: passed"
