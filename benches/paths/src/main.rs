//! The hot paths of the engine, counted in instructions: see the library.

mod path;

use std::process::ExitCode;

use path::Path;

fn main() -> ExitCode {
    let names: Vec<&str> = Path::ALL.iter().map(|path| path.name()).collect();
    oncegate_paths::program(&names, |name, iterations| {
        Path::ALL.into_iter().filter(|path| path.name() == name).for_each(|path| {
            path.run(iterations);
        });
    })
}
