# Prints the code of a page: awk -v language=go -v block=2 -f scripts/doc-code.awk docs/go.md
# Blocks of other languages do not count. Without `block`, all of them, each after an empty line.
# Fails where there is no such block.
BEGIN { inside = 0; found = 0; printed = 0 }
/^```/ {
  if (inside) { inside = 0; next }
  inside = 1
  ours = ($0 == "```" language)
  if (ours) { found++; wanted = !block || block == found }
  if (ours && wanted && printed++) print ""
  next
}
inside && ours && wanted { print }
END { exit printed ? 0 : 1 }
