//! The files of vectors, and what is written about a run of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::fields::{Failure, Fields, needed};

/// What there have to be vectors of. A file has the name of its area.
pub(crate) const AREAS: &[&str] = &[
    "backoff",
    "begin",
    "budget",
    "canonical",
    "fencing",
    "fingerprints",
    "lapse",
    "lease",
    "mismatch",
    "retries",
    "waiting",
    "window",
];

/// Every vector of every file, in the order of their names.
pub(crate) fn vectors() -> Vec<Value> {
    let folder = std::env::var_os("ONCEGATE_VECTORS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors"));
    let entries = fs::read_dir(&folder).expect("the folder of the vectors is readable");
    let paths = entries.map(|entry| entry.expect("an entry is readable").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    paths.sort_unstable();
    paths.iter().flat_map(|path| read(path)).collect()
}

fn read(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a file of vectors is readable");
    let file = serde_json::from_str(&text).expect("a file of vectors is JSON");
    let area = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    of_file(file, area).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn of_file(file: Value, area: &str) -> Result<Vec<Value>, Failure> {
    let mut file = Fields::of(file)?;
    let own = needed("area", file.text("area")?)?;
    let _ = needed("about", file.text("about")?)?;
    let vectors = needed("vectors", file.list("vectors")?)?;
    file.finish()?;
    let stranger = vectors.iter().map(id).find(|id| !id.starts_with(&format!("{area}/")));
    match stranger {
        _ if own != area => Err(format!("the area is {own}")),
        Some(id) => Err(format!("{id} is of another area")),
        None => Ok(vectors),
    }
}

pub(crate) fn id(vector: &Value) -> String {
    vector.get("id").and_then(Value::as_str).unwrap_or("?").to_owned()
}

/// Whether the vectors are such that must fail, and somebody else looks whether they do.
pub(crate) fn are_twisted() -> bool {
    std::env::var_os("ONCEGATE_VECTORS_TWISTED").is_some_and(|value| value == "1")
}

/// One line for each vector that ran: `ok ID`, or `failed ID: why`.
pub(crate) fn report(results: &[(String, Result<(), Failure>)]) {
    let Some(path) = std::env::var_os("ONCEGATE_VECTORS_REPORT") else { return };
    let line = |(id, result): &(String, Result<(), Failure>)| match result {
        Ok(()) => format!("ok {id}\n"),
        Err(why) => format!("failed {id}: {}\n", why.replace('\n', " ")),
    };
    let text: String = results.iter().map(line).collect();
    fs::write(path, text).expect("the report can be written");
}

/// Leaves twisted vectors for the runners of other languages, one file for each area.
pub(crate) fn keep_twisted(twisted: &[Value]) {
    let Some(folder) = std::env::var_os("ONCEGATE_VECTORS_KEEP_TWISTED") else { return };
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder).expect("a folder for twisted vectors");
    for area in AREAS {
        let own = |vector: &&Value| id(vector).starts_with(&format!("{area}/"));
        let vectors: Vec<&Value> = twisted.iter().filter(own).collect();
        let about = "Each has one expectation that is wrong, and has to fail.";
        let file = json!({"area": area, "about": about, "vectors": vectors});
        fs::write(folder.join(format!("{area}.json")), file.to_string())
            .expect("twisted vectors can be written");
    }
}
