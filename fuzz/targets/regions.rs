//! The fuzzer's program for `regions`; without the fuzzer, one that
//! replays the files it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| oncegate_fuzz::regions::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    oncegate_fuzz::replay(oncegate_fuzz::regions::run)
}
