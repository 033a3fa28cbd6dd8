# Makes a table of lines `LANGUAGE RECORDS WHAT NANOSECONDS`, sorted: the median of each, and the
# least and the greatest; see bench-foreign.sh.
{
  key = $1 SUBSEP $2 SUBSEP $3
  if (key != last) { n = 0; last = key }
  times[key, ++n] = $4
  count[key] = n
  if (!(($1, $2) in seen)) { seen[$1, $2] = 1; rows[++row] = $1 SUBSEP $2 }
}

function median(key,   n) {
  n = count[key]
  if (!n) return 0
  return n % 2 ? times[key, (n + 1) / 2] : (times[key, n / 2] + times[key, n / 2 + 1]) / 2
}

function cell(key) {
  if (!count[key]) return ""
  return sprintf("%.1f (%.1f to %.1f)", median(key), times[key, 1], times[key, count[key]])
}

END {
  form = "%-13s %9s  %-22s %-26s %-26s %7s\n"
  printf form, "", "records", "nothing, ns", "one, ns", "of 64, each, ns", "ratio"
  for (i = 1; i <= row; i++) {
    split(rows[i], its, SUBSEP)
    one = rows[i] SUBSEP "single"
    many = rows[i] SUBSEP "batch64"
    ratio = median(many) ? sprintf("%.1f", median(one) / median(many)) : ""
    printf form, its[1], its[2], cell(rows[i] SUBSEP "trivial"), cell(one), cell(many), ratio
  }
  for (i = 1; i <= row; i++) {
    if (!count[rows[i] SUBSEP "new"]) continue
    split(rows[i], its, SUBSEP)
    new = cell(rows[i] SUBSEP "new")
    printf "a new request and its end, %s after %s records: %s ns\n", its[1], its[2], new
  }
}
