# Makes of the structures of oncegate.h a table of where the C compiler puts their fields.
#   awk -f layouts.awk include/oncegate.h > layouts.inc

/^typedef struct oncegate_[a-z_]+ \{/ {
    structure = $3
    printf "    {\"%s\", NULL, 0, sizeof(%s)},\n", structure, structure
    next
}
/^\}/ { structure = "" }
structure && !/^ *\/\// && /;$/ {
    field = $0
    sub(/(\[[0-9]+\])?;$/, "", field)
    sub(/^.*[ *]/, "", field)
    printf "    {\"%s\", \"%s\", offsetof(%s, %s), sizeof(((%s *)0)->%s)},\n", \
        structure, field, structure, field, structure, field
}
