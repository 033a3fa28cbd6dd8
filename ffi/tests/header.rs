//! The header is what the crate says, and `exports.txt` lists its functions.

use std::path::Path;

/// Goal: the header and the list of exports that are committed are those that the crate makes.
/// Method: both are made again and compared; with `UPDATE=1`, which `make header` sets, written.
#[test]
fn header_and_list_of_exports_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let made = cbindgen::Builder::new().with_crate(root).with_config(config).generate();
    let mut text = Vec::new();
    made.expect("the crate makes a header").write(&mut text);
    let text = String::from_utf8(text).expect("a header is text");
    compare(root, "include/oncegate.h", &text);
    compare(root, "exports.txt", &exports(&text));
}

/// Compares a file with what it has to be, or writes it.
fn compare(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        std::fs::write(&path, text).expect("it can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{name} is stale: run `make header`");
}

/// The functions of a header that are not written out in it, one in a line.
fn exports(header: &str) -> String {
    let mut names: Vec<&str> = header
        .lines()
        .filter(|line| line.starts_with(char::is_alphabetic) && !line.starts_with("static"))
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("oncegate_"))
        .collect();
    names.sort_unstable();
    names.join("\n") + "\n"
}
