# Takes the Python programs out of a page:
#   awk -v folder=F -f scripts/doc-programs.awk docs/python.md
# Each block of ```python is one, F/1.py and on. A block of ```text that follows it in its section,
# with no other program between them, is what it prints: F/1.said. Prints how many programs there
# are.
BEGIN { programs = 0; kind = ""; waits = 0 }
/^```/ {
  if (kind != "") { if (file != "") close(file); kind = ""; file = ""; next }
  kind = substr($0, 4)
  if (kind == "python") { programs++; waits = 1; file = folder "/" programs ".py" }
  else if (kind == "text" && waits) { waits = 0; file = folder "/" programs ".said" }
  else { file = ""; if (kind == "") kind = "none" }
  if (file != "") printf "" > file
  next
}
kind == "" && /^#/ { waits = 0 }
kind != "" && file != "" { print > file }
END { print programs }
