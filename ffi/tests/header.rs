//! The header is what the crate says.

use std::path::Path;

/// Goal: the header that is committed is the one that the crate makes.
/// Method: it is made again and compared; with `UPDATE=1`, which `make header` sets, written.
#[test]
fn header_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let made = cbindgen::Builder::new().with_crate(root).with_config(config).generate();
    let mut text = Vec::new();
    made.expect("the crate makes a header").write(&mut text);
    let text = String::from_utf8(text).expect("a header is text");
    let path = root.join("include/oncegate.h");
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        std::fs::write(&path, &text).expect("the header can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "include/oncegate.h is stale: run `make header`");
}
