//! The layouts that the library tells are those of the header that is committed.

use std::collections::HashMap;
use std::path::Path;
use std::ptr::{null, null_mut};

use crate::support::text;
use oncegate_ffi::*;

/// A structure, and its fields: name, offset, size.
type Structure = (String, usize, Vec<(String, usize, usize)>);

fn told() -> Vec<Structure> {
    let mut count = 0;
    call!(oncegate_layouts(null_mut(), 0, &raw mut count)).expect("a count");
    let blank = RawLayout { structure: null(), field: null(), offset: 0, size: 0 };
    let (mut layouts, mut again) = (vec![blank; count + 1], 0);
    let (to, room) = (layouts.as_mut_ptr(), layouts.len());
    call!(oncegate_layouts(to, room, &raw mut again)).expect("all of them");
    assert_eq!(count, again);
    assert!(layouts[count].structure.is_null(), "not one more");
    let mut structures: Vec<Structure> = Vec::new();
    for layout in &layouts[..count] {
        let name = text(layout.structure);
        if layout.field.is_null() {
            assert_eq!(layout.offset, 0);
            structures.push((name, layout.size, Vec::new()));
            continue;
        }
        let (of, _, fields) = structures.last_mut().expect("a structure comes first");
        assert_eq!(*of, name);
        fields.push((text(layout.field), layout.offset, layout.size));
    }
    structures
}

/// The structures of the header, laid out by the rules of the C ABI of 64-bit machines: a field
/// begins at a multiple of its alignment, and so does a structure after its last.
fn computed(header: &str) -> Vec<Structure> {
    let mut types: HashMap<String, (usize, usize)> = HashMap::new();
    let basic = [
        ("char", 1),
        ("uint8_t", 1),
        ("uint32_t", 4),
        ("int32_t", 4),
        ("oncegate_status", 4),
        ("uint64_t", 8),
        ("size_t", 8),
        ("double", 8),
    ];
    types.extend(basic.map(|(name, size)| (name.to_owned(), (size, size))));
    let mut structures = Vec::new();
    let mut lines = header.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let name = line.strip_prefix("typedef struct ").and_then(|rest| rest.strip_suffix(" {"));
        let Some(name) = name else { continue };
        let (mut end, mut widest, mut fields) = (0_usize, 1, Vec::new());
        for line in lines.by_ref().take_while(|line| !line.starts_with('}')) {
            let Some(declared) = line.strip_suffix(';').filter(|_| !line.starts_with("//")) else {
                assert!(line.starts_with("//"), "a field in one line: {line}");
                continue;
            };
            let (of, field) = declared.rsplit_once([' ', '*']).expect("a type and a name");
            let (field, count) = match field.strip_suffix(']').and_then(|it| it.split_once('[')) {
                Some((field, count)) => (field, count.parse().expect("a number")),
                None => (field, 1),
            };
            let of = of.trim_start_matches("const ").trim_start_matches("struct ");
            let is_pointer = declared.contains('*');
            let (size, align) = if is_pointer { (8, 8) } else { types[of] };
            let offset = end.next_multiple_of(align);
            fields.push((field.to_owned(), offset, size * count));
            (end, widest) = (offset + size * count, widest.max(align));
        }
        let size = end.next_multiple_of(widest);
        types.insert(name.to_owned(), (size, widest));
        structures.push((name.to_owned(), size, fields));
    }
    structures
}

/// Goal: every structure of the header and every field is told, where a C compiler puts it.
/// Method: the committed header, read and laid out by the rules of the ABI; its structures and
/// those that are told, by their names.
#[test]
fn layouts_are_the_headers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/oncegate.h");
    let header = std::fs::read_to_string(path).expect("the header");
    let (mut expected, mut found) = (computed(&header), told());
    assert!(expected.len() > 20, "the header was read");
    expected.sort();
    found.sort();
    let names = |all: &[Structure]| all.iter().map(|one| one.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "`known!` lists the structures of the header");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
}

/// Goal: as many are written as there is room for, and a missing place is refused by its name.
/// Method: room for one; `NULL` in each position.
#[test]
fn layouts_need_room() {
    let blank = RawLayout { structure: null(), field: null(), offset: 0, size: 0 };
    let (mut layouts, mut count) = ([blank; 2], 0);
    call!(oncegate_layouts(layouts.as_mut_ptr(), 1, &raw mut count)).expect("room for one");
    assert!(count > 100 && !layouts[0].structure.is_null() && layouts[1].structure.is_null());
    let refused = call!(oncegate_layouts(null_mut(), 1, &raw mut count)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_NULL_ARGUMENT, "layouts"));
    let refused = call!(oncegate_layouts(null_mut(), 0, null_mut())).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_NULL_ARGUMENT, "count"));
}
