//! The fuzzer's program for `ffi_calls`; without the fuzzer, one that
//! replays the files it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| oncegate_fuzz::ffi_calls::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    oncegate_fuzz::replay(oncegate_fuzz::ffi_calls::run)
}
