#!/usr/bin/env bash
# The Java modules on the library: compiled with every warning and the documentation checked, and
# tested as the jars that are shipped. By JNA on a JDK from 17 on, and, on one from 22 on, by its
# foreign functions, and by JNA again. Then the programs of docs/java.md, on each JDK.
#
#   scripts/java.sh           the suite
#   scripts/java.sh library   only builds the native library, where the modules take it from
#   scripts/java.sh install   builds the modules, and installs them into Maven's local repository
#   scripts/java.sh bench     what calls cost by each binding, in about two minutes: a table of the
#                             binding, the benchmark, its parameter and nanoseconds, on standard
#                             output and in target/java/bench.tsv; BENCHMARKS=conflict.* for some
#                             of them
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

# bench BINDING: the best of each benchmark's iterations, which other work on this machine
# disturbs least. What is measured is in CrossingBenchmark.
bench() {
  local home=${new:-$old} access=(); [ -z "$new" ] || access=(--enable-native-access=ALL-UNNAMED)
  "$home/bin/java" "${access[@]}" -cp "$modules/oncegate-bench/target/oncegate-bench-0.1.0.jar:\
$modules/oncegate-bench/target/lib/*" org.openjdk.jmh.Main -f 1 -wi 3 -w 400ms -i 5 -r 400ms \
    -jvmArgsAppend "-Doncegate.binding=$1 ${access[*]}" -foe true "${BENCHMARKS:-.*}" \
    > "$work/bench-$1.log" 2>&1 || { tail -n 30 "$work/bench-$1.log" >&2; die "bench by $1"; }
  awk -v OFS='\t' -v by="$1" '
    /^# Benchmark: / { sub(/.*\./, ""); name = $1; best = 0; of = "-" }
    /^# Parameters: / { of = $NF; sub(/\)$/, "", of) }
    /^Iteration / && (!best || $3 < best) { best = $3 }
    /^Result / { print by, name, of, best }' "$work/bench-$1.log"
}

# programs: takes those of the page out of it, and what each is said to print.
programs() {
  local folder=$work/page count=0 name
  rm -rf "$folder"
  mkdir -p "$folder"
  while awk -v language=java -v block=$((count + 1)) -f scripts/doc-code.awk docs/java.md \
    > "$folder/program" 2>/dev/null; do
    count=$((count + 1))
    name=$(sed -n 's/^class \([A-Za-z]*\) {$/\1/p' "$folder/program")
    mv "$folder/program" "$folder/$name.java"
    awk -v language=text -v block=$count -f scripts/doc-code.awk docs/java.md > "$folder/$name.said"
  done
  rm "$folder/program"
  [ "$count" -gt 0 ] || die "docs/java.md has no program"
  printf '%s\n' "$count"
}

# page HOME: compiles and runs the programs of the page on a JDK.
page() {
  local home=$1 source name access=()
  [ "$home" != "$new" ] || access=(--enable-native-access=ALL-UNNAMED)
  local classes=$work/page/classes jars=$modules/oncegate/target/oncegate-0.1.0.jar
  jars+=:$(echo "$modules"/oncegate-bench/target/lib/jna-*)
  say "the programs of docs/java.md on $(basename "$home")"
  rm -rf "$classes"
  "$home/bin/javac" -Xlint:all -Werror -cp "$jars" -d "$classes" "$work"/page/*.java
  for source in "$work"/page/*.java; do
    name=$(basename "$source" .java)
    "$home/bin/java" "${access[@]}" -cp "$classes:$jars" "$name" > "$work/page/$name.printed"
    diff "$work/page/$name.said" "$work/page/$name.printed" >&2 ||
      die "$name of docs/java.md prints something else than the page says"
  done
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

if [ "${1:-}" = install ]; then
  library
  say "the modules, without tests, into Maven's local repository"
  maven install -DskipTests -Dmaven.test.skip=true -Dskip17=true -Dskip22=true
  exit
fi

if [ "${1:-}" = bench ]; then
  library
  say "the modules, without tests"
  maven package -pl oncegate,oncegate-bench -DskipITs -Dmaven.javadoc.skip=true
  for binding in ${new:+ffm} jna; do
    say "benchmarks by $binding"
    bench "$binding"
  done | tee "$work/bench.tsv"
  [ "$(wc -l < "$work/bench.tsv")" -gt 1 ] || die "nothing was measured"
  exit
fi

library
say "javac, javadoc and the tests, with $(basename "${new:-$old}")"
maven verify

count=$(programs)
for home in $old $new; do page "$home"; done

line="javac with every warning, javadoc with doclint; $count programs of docs/java.md"
[ -z "$old" ] || line+="; $(count jna-17) tests by JNA on $(basename "$old")"
[ -z "$new" ] || line+="; on $(basename "$new") $(count ffm) by foreign functions and \
$(count jna-22) by JNA"
note java "$line"
for each in "${skipped[@]}"; do note java "SKIPPED: $each"; done
