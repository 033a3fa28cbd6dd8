//! What the command line says.

use crate::planted::Plant;

pub(crate) const USAGE: &str = "usage: oncegate-stress [--seed N] [--steps N] [--threads N] \
                                [--forks N] [--plant race|use-after-free|leak]";

/// One run.
pub(crate) struct Arguments {
    pub(crate) seed: u64,
    /// Steps of each thread.
    pub(crate) steps: u64,
    pub(crate) threads: u64,
    pub(crate) forks: u64,
    pub(crate) plant: Option<Plant>,
}

impl Arguments {
    pub(crate) fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self { seed: 0x0dd5_eed5, steps: 1_000, threads: 4, forks: 4, plant: None };
        while let Some(name) = given.next() {
            let value = given.next().ok_or_else(|| format!("{name} says nothing"))?;
            let number = || value.parse().map_err(|_| format!("{name} {value} is no number"));
            match name.as_str() {
                "--seed" => read.seed = number()?,
                "--steps" => read.steps = number()?,
                "--threads" => read.threads = number()?,
                "--forks" => read.forks = number()?,
                "--plant" => read.plant = Some(Plant::named(&value)?),
                _ => return Err(format!("{name} is unknown")),
            }
        }
        Ok(read)
    }
}
