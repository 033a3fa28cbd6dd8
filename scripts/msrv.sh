#!/usr/bin/env bash
# The minimum Rust version, by what is at hand: no dependency of the engine asks for a newer one,
# clippy knows it and refuses newer library calls, and a compiler of that version builds it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
minimum=$(minimum_rust)

# The manifests of the crates that Cargo resolved for the engine say what they ask for.
crates=$(cargo tree ${LOCKED:-} -p oncegate -e normal --all-features --prefix none \
  --format '{p}' | cut -d' ' -f1,2 | sort -u | grep -v '^oncegate ')
read_manifests=0
newer=
while read -r name version; do
  manifest=
  for found in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-${version#v}"/Cargo.toml; do
    [ -f "$found" ] && manifest=$found
  done
  [ -n "$manifest" ] || continue
  read_manifests=$((read_manifests + 1))
  asks=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$manifest" | head -n 1)
  if [ -n "$asks" ] && older "$minimum" "$asks"; then
    newer="$newer $name ${version#v} ($asks)"
  fi
done <<< "$crates"
[ -z "$newer" ] || die "these dependencies need more than Rust $minimum:$newer"
[ "$read_manifests" -gt 0 ] || die "no dependency's manifest was found; was anything fetched?"

grep -q '^incompatible_msrv = "deny"' Cargo.toml || die "clippy::incompatible_msrv is not denied"
case "$(sed -n 's/^msrv = "\(.*\)"/\1/p' clippy.toml)" in
  "$minimum" | "$minimum".*) ;;
  *) die "clippy.toml states another version than Cargo.toml ($minimum)" ;;
esac
note msrv "Rust $minimum: none of $read_manifests dependencies of the engine asks for more;" \
  "clippy refuses newer calls"

# A toolchain of that version: the one that runs, one that is installed, or one to be had. Who
# turned automatic installation off is not overruled.
toolchain=
case "$(rustc --version)" in "rustc $minimum"*) toolchain=default ;; esac
if [ -z "$toolchain" ] && have rustup; then
  if rustup toolchain list | grep -Eq "^$minimum(\.[0-9]+)?-"; then
    toolchain=$(rustup toolchain list | grep -E "^$minimum(\.[0-9]+)?-" | head -n 1 | cut -d' ' -f1)
  elif [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ]; then
    timeout 600 rustup toolchain install "$minimum" --profile minimal --no-self-update &&
      toolchain=$minimum
  fi
fi
if [ -z "$toolchain" ]; then
  say "SKIPPED: no Rust $minimum here to build with, and none may or can be fetched"
  note msrv "build with it SKIPPED: no Rust $minimum here, and none may or can be fetched"
  exit 0
fi
run=(cargo)
[ "$toolchain" = default ] || run=(rustup run "$toolchain" cargo)
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/msrv" \
  "${run[@]}" check ${LOCKED:-} -p oncegate --all-features
note msrv "built with Rust $minimum"
