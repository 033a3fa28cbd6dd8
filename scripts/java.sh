#!/usr/bin/env bash
# The Java modules on the library: compiled with every warning and the documentation checked, and
# tested as the jars that are shipped. By JNA on a JDK from 17 on, and, on one from 22 on, by its
# foreign functions, and by JNA again.
#
#   scripts/java.sh           the suite
#   scripts/java.sh library   only builds the native library, where the modules take it from
#   scripts/java.sh maven …   that, and Maven with these arguments
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/java
modules=$PWD/bindings/java

# library: the native library, in the folder of this platform.
library() {
  local machine; machine=$(uname -m)
  case "$(uname -s) $machine" in
    'Linux x86_64' | 'Linux aarch64') ;;
    *) die "the Java modules bring no native library for $(uname -s) on $machine" ;;
  esac
  say "the library for Java"
  cargo build ${LOCKED:-} --release -p oncegate-ffi
  mkdir -p "$work/natives/linux-$machine"
  local place=$work/natives/linux-$machine/liboncegate.so
  # Without what debuggers want: a tenth of the size.
  [ "$place" -nt "$target/release/liboncegate_ffi.so" ] ||
    strip -o "$place" "$target/release/liboncegate_ffi.so"
}

# maven ARGUMENTS...: with the JDK that compiles, those that tests run on, and the library.
maven() {
  JAVA_HOME=${new:-$old} MAVEN_OPTS="${MAVEN_OPTS:-} $quiet" \
    mvn -q -B -Dstyle.color=never -f "$modules/pom.xml" -Doncegate.natives="$work/natives" \
    -Djdk17="${old:-$new}" -Djdk22="${new:-$old}" \
    -Dskip17="$([ -n "$old" ] && echo false || echo true)" \
    -Dskip22="$([ -n "$new" ] && echo false || echo true)" "$@"
}

# skip WHAT: leaves a part out, and says so.
skipped=()
skip() {
  must_have_run "$1"
  say "SKIPPED: $1"
  skipped+=("$1")
}

# count RUN: the tests that ran, from the reports; what a JVM is too old for did not.
count() {
  cat "$modules"/*/target/tests/"$1"/TEST-*.xml | grep '^<testsuite ' |
    awk '{ for (i = 1; i <= NF; i++) if (split($i, part, "\"") > 1) {
             if (part[1] == "tests=") sum += part[2]
             if (part[1] == "skipped=") sum -= part[2]
           } }
         END { print sum + 0 }'
}

if [ "${1:-}" = library ]; then
  library
  exit
fi

old=$(old_jdk || true)
new=$(new_jdk || true)
quiet=
[ -z "$new" ] || quiet='--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow'
if [ "${1:-}" = maven ]; then
  shift
  library
  maven "$@"
  exit
fi

if ! have mvn || [ -z "$old$new" ]; then
  skip "Java: it needs Maven, and a JDK from 17 on"
  note java "SKIPPED: no Maven, or no JDK from 17 on"
  exit
fi
[ -n "$old" ] || skip "the tests on Java 17 to 21: there is no such JDK"
[ -n "$new" ] || skip "foreign functions, and all on newer Java: there is no JDK from 22 on"

library
say "javac, javadoc and the tests, with $(basename "${new:-$old}")"
maven verify

line="javac with every warning, javadoc with doclint"
[ -z "$old" ] || line+="; $(count jna-17) tests by JNA on $(basename "$old")"
[ -z "$new" ] || line+="; on $(basename "$new") $(count ffm) by foreign functions and \
$(count jna-22) by JNA"
note java "$line"
for each in "${skipped[@]}"; do note java "SKIPPED: $each"; done
