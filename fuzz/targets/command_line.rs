//! The fuzzer's program for `command_line`; without the fuzzer, one that
//! replays the files it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| oncegate_fuzz::command_line::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    oncegate_fuzz::replay(oncegate_fuzz::command_line::run)
}
