//! How the shared library is linked, and what CMake asks of its version.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={VERSION_FILE}");
    // Threads of the engine, and handlers of forks, run the library's code: it may not be unmapped
    // by a `dlclose`.
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    let text = fs::read_to_string(VERSION_FILE).expect("the template is there");
    let version = env::var("CARGO_PKG_VERSION").expect("Cargo sets it");
    let out = env::var("OUT_DIR").expect("Cargo sets it");
    let to = Path::new(&out).join("oncegateConfigVersion.cmake");
    fs::write(to, text.replace("@VERSION@", &version)).expect("Cargo's folder can be written");
}

const VERSION_FILE: &str = "cmake/oncegateConfigVersion.cmake.in";
