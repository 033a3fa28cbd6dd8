# Makes of the prototypes of oncegate.h a table of calls in C; see world.h.
#   awk -f calls.awk nullable.txt exports.txt include/oncegate.h > calls.inc
# A type that it does not know is an error: teach it, and world.h.

function fail(text) { print "calls.awk: " name ": " text > "/dev/stderr"; bad = 1; exit 1 }

# A function, and those of its pointers that may be NULL.
FILENAME == ARGV[1] {
    if ($0 !~ /^#/ && NF) for (i = 2; i <= NF; i++) nullable[$1, $i] = 1
    next
}
# What the library exports.
FILENAME == ARGV[2] { if (NF) exported[$1] = 1; next }

/^typedef struct oncegate_[a-z_]+ oncegate_[a-z_]+;/ { handle[$3] = 1 }
/^typedef struct oncegate_[a-z_]+ \{/ { structure = $3 }
/^    size_t struct_size;/ { grows[structure] = 1 }

/^(oncegate_status|uint32_t|const char \*) ?\*?oncegate_[a-z_]+\(/ { prototype = "" ; inside = 1 }
inside { sub(/^ +/, " "); prototype = prototype $0 }
inside && /;$/ { inside = 0; take(prototype) }

function take(text,   open, list, count, i, at) {
    open = index(text, "(")
    name = substr(text, 1, open - 1)
    sub(/^.*[ *]/, "", name)
    list = substr(text, open + 1)
    sub(/\);$/, "", list)
    taken[name] = 1
    # What only returns a constant has nothing to refuse.
    if (list == "void") return
    count = split(list, parameter, /, */)
    if (parameter[count] != "struct oncegate_error *error") fail("its last parameter is no error")
    pointers = 0; fills = ""; calls = ""; table = ""
    for (i = 1; i < count; i++) one(parameter[i])
    printf "static const struct parameter parameters_%s[] = {\n%s", name, table
    print  "    {NULL, 0, 0, 0, 0, 0, 0}};"
    printf "static void fill_%s(struct world *w, void **arguments) {\n", name
    print  "    (void)w;\n    (void)arguments;"
    printf "%s}\n", fills
    printf "static oncegate_status call_%s(struct world *w, void *const *arguments,\n", name
    print  "                               oncegate_error *error) {"
    print  "    (void)w;\n    (void)arguments;"
    printf "    return %s(%serror);\n}\n", name, calls
    all = all sprintf("    {\"%s\", %d, %d, parameters_%s, fill_%s, call_%s},\n",
                      name, name ~ /_close$/, pointers, name, name, name)
}

function one(text,   its, type, base) {
    its = text
    sub(/^.*[ *]/, "", its)
    type = substr(text, 1, length(text) - length(its))
    sub(/ +$/, "", type)
    base = type
    gsub(/const |struct | *\*/, "", base)
    if (type !~ /\*/) {
        if (base == "oncegate_bytes") calls = calls "w->bytes, "
        else if (base ~ /^(u?int32_t|uint64_t|size_t|oncegate_status|double)$/)
            calls = calls "WITH_" its ", "
        else fail("does not know the type " type " of " its)
        return
    }
    fills = fills sprintf("    arguments[%d] = %s;\n", pointers, value(type, base, its))
    calls = calls "(" type ")arguments[" pointers "],\n        "
    known[name, its] = 1
    table = table sprintf("    {\"%s\", %d, %d, %d, %d, sizeof(%s), ALIGNMENT(%s)},\n", its,
                          type !~ /\*\*/ && (base in handle), (name, its) in nullable,
                          (base in grows), type !~ /^const/, measured(type, base),
                          measured(type, base))
    pointers++
}

# What the pointer points to; nobody knows how large a handle is.
function measured(type, base) {
    if (type ~ /\*\*/) return "void *"
    return (base in handle) ? "char" : base
}

function value(type, base, its,   member) {
    member = base
    sub(/^oncegate_/, "", member)
    if (base in handle) return type ~ /\*\*/ ? "(void *)&w->" member "_out" : "w->" member
    if (base == "oncegate_bytes" && type !~ /const/) return "&w->bytes_out[" pointers "]"
    if (base ~ /^oncegate_/) return "(void *)&w->" member
    if (base ~ /^(uint8_t|char)$/) {
        sub(/_t$/, "", member)
        return "w->" member "_out[" pointers "]"
    }
    if (base ~ /^(uint64_t|uint32_t|int32_t|size_t)$/) {
        sub(/_t$/, "", member)
        return "&w->" member "_out[" pointers "]"
    }
    fail("does not know the type " type " of " its)
}

END {
    if (bad) exit 1
    for (name in exported) if (!(name in taken)) fail("no prototype of it was found")
    for (name in taken) if (!(name in exported)) fail("it is not exported")
    for (pair in nullable) {
        split(pair, its, SUBSEP)
        name = its[1]
        if (!(pair in known)) fail("has no pointer " its[2] ", which is listed as nullable")
    }
    printf "static const struct function functions[] = {\n%s};\n", all
}
