//! The fuzzer's program for `canonical_json`; without the fuzzer, one that
//! replays the files it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| oncegate_fuzz::canonical_json::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    oncegate_fuzz::replay(oncegate_fuzz::canonical_json::run)
}
