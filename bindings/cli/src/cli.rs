//! The command line: what can be asked, and the help that teaches it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::input::DERIVATION;
use crate::storm::{MAX_RATE, Shape};

/// Everything that the command line takes.
#[derive(Debug, Parser)]
#[command(
    name = "oncegate",
    version,
    about = "Make a retried request run once: see it on your own requests, and measure it here",
    long_about = LONG_ABOUT,
    after_long_help = AFTER_HELP,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `oncegate` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deliver real requests several times, overlapping, to handlers that fail, panic and stall
    #[command(long_about = STORM_ABOUT, after_long_help = storm_after_help())]
    Storm(StormArgs),
    /// Measure the engine on this machine, in less than 20 seconds
    #[command(long_about = BENCH_ABOUT)]
    Bench(BenchArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  oncegate completions bash > oncegate.bash")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Options of `oncegate storm`.
#[derive(Debug, Args)]
pub(crate) struct StormArgs {
    /// Requests as newline-delimited JSON, plain or gzip (told by its first bytes); - is stdin
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// Threads that deliver, 1 to 512
    #[arg(long, value_name = "N", default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) clients: u16,
    /// Times that each line is delivered, 1 to 100
    #[arg(long, value_name = "M", default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) copies: u16,
    /// Share of handler runs that fail, 0 to 0.9; about a quarter of them by a panic
    #[arg(long, value_name = "P", default_value_t = 0.1, value_parser = rate)]
    pub(crate) fail_rate: f64,
    /// Share of handler runs that outlive their lease, then still try to write, 0 to 0.9
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = rate)]
    pub(crate) pause_rate: f64,
    /// Where every choice of the storm comes from: the same seed, the same storm
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Middle of a handler's working time, in milliseconds, 0 to 10000
    #[arg(long, value_name = "MS", default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub(crate) work_ms: u64,
    /// How long a lease lasts, and how long a client waits before it sends again, 10 to 60000
    #[arg(long, value_name = "MS", default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(crate) lease_ms: u64,
    /// Run without the engine: retry with backoff, no coordination
    #[arg(long, conflicts_with = "compare")]
    pub(crate) baseline: bool,
    /// Run without and then with the engine, and show both side by side
    #[arg(long)]
    pub(crate) compare: bool,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `oncegate bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Rounds of each measurement, of which the median counts, 1 to 25; fewer on a busy machine
    #[arg(long, value_name = "N", default_value_t = 5,
        value_parser = clap::value_parser!(u16).range(1..=25))]
    pub(crate) rounds: u16,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl StormArgs {
    /// The storm that the options ask for.
    pub(crate) fn shape(&self) -> Shape {
        Shape {
            clients: self.clients.into(),
            copies: self.copies.into(),
            fail_rate: self.fail_rate,
            pause_rate: self.pause_rate,
            seed: self.seed,
            work: Duration::from_millis(self.work_ms),
            lease: Duration::from_millis(self.lease_ms),
        }
    }
}

/// Reads a share; the highest is below 1, so that a storm ends.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=MAX_RATE).contains(&rate) => Ok(rate),
        Ok(_) => Err(format!("out of range; limit: 0 to {MAX_RATE}")),
        Err(_) => Err(format!("not a number; limit: 0 to {MAX_RATE}")),
    }
}

fn storm_after_help() -> String {
    format!("{STORM_HELP}\n\n{DERIVATION}\n\n{STORM_COUNTS}\n\n{EXIT_STATUS}")
}

const LONG_ABOUT: &str = "\
Make a retried request run once: see it on your own requests, and measure it here.

Clients send a request again when they get no answer in time; brokers deliver twice; fail-overs \
replay. A request that runs twice charges twice. oncegate is an engine that services embed: one \
record for each request owns its lease, its outcome and its next attempt, so that duplicates get \
the stored outcome, and an attempt that outlived its lease is fenced off. This command shows and \
measures that engine.";

const AFTER_HELP: &str = "\
Examples:
  oncegate storm --input requests.ndjson.gz --compare
  oncegate storm --input requests.ndjson --baseline --json
  oncegate bench
  oncegate completions zsh > _oncegate

Exit status:
  0  done
  1  the run failed, or the engine broke its promise
  2  wrong usage
  3  done, but lines of the input were broken and skipped";

const STORM_ABOUT: &str = "\
Deliver real requests several times, overlapping, to handlers that fail, panic and stall.

Each line of the input is delivered --copies times by --clients threads. Handlers sleep to stand \
for work. Now and then one fails or panics before it writes its side effect, and its client tries \
again; now and then one sleeps past its lease, its client sends the request again, and then the \
sleeper wakes and still writes. A ledger outside the engine takes the side effects and counts \
them. All of this is planned from --seed alone, so that a run with and one without the engine meet \
the same storm.

Through the engine, the command checks that every request has one accepted side effect, made from \
its own payload, and that duplicates got the receipt of that effect. If not, it says which lines \
and exits with 1.";

const STORM_HELP: &str = "\
Examples:
  oncegate storm --input requests.ndjson.gz --compare
  oncegate storm --input requests.ndjson --clients 32 --copies 6 --fail-rate 0.2 --seed 7
  zcat requests.ndjson.gz | oncegate storm --input - --json";

const STORM_COUNTS: &str = "\
Lines with the same scope, operation and key are one request; its first line in the file is the
original. A line that comes with another payload is a mismatch: it is delivered once the first
attempt was admitted, counted, and never run.

A broken line is reported on standard error with its number, and skipped. A line holds up to 1 MiB;
an input up to 256 MiB after decompression and a million lines; a storm up to 4 million deliveries.

With --json, one object (with --compare, one object that holds `baseline` and `engine`), with
these fields among others:
  deliveries         lines times copies: each needs one final answer
  distinct           distinct requests
  executed           handler runs, counted by the ledger as they started
  accepted_effects   side effects that the ledger accepted
  duplicate_effects  accepted side effects beyond the first of each request
  replayed           duplicates answered with the stored outcome
  in_progress        calls answered that another attempt runs
  mismatched         deliveries refused because the key came with another payload
  fenced             writes that the ledger refused for a stale fencing token
  p50_ns, p99_ns, p999_ns
                     time of `begin` in nanoseconds; 0 in the baseline, which has none
  per_second         deliveries answered for good, per second";

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  the input could not be read, or the engine broke its promise
  2  wrong usage
  3  done, but lines of the input were broken and skipped, or refused by the engine";

const BENCH_ABOUT: &str = "\
Measure the engine on this machine, in less than 20 seconds.

Each measurement runs several rounds, shuffled among the others, and shows the median. The figures \
describe this machine at this moment; compare them with each other rather than with another \
machine's.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Goal: the command line is well formed. Method: clap's own check of every argument.
    #[test]
    fn definitions_are_sound() {
        Cli::command().debug_assert();
    }

    /// Goal: limits are usage errors that say the limit. Method: one value beyond each.
    #[test]
    fn limits_are_enforced() {
        let parse = |args: &[&str]| {
            let base = ["oncegate", "storm", "--input", "x"];
            Cli::try_parse_from(base.iter().chain(args))
        };
        assert!(parse(&["--fail-rate", "0.9", "--seed", "18446744073709551615"]).is_ok());
        for (flag, value) in [
            ("--fail-rate", "0.91"),
            ("--pause-rate", "-1"),
            ("--fail-rate", "NaN"),
            ("--clients", "0"),
            ("--clients", "513"),
            ("--copies", "0"),
            ("--copies", "101"),
            ("--lease-ms", "9"),
            ("--work-ms", "10001"),
        ] {
            let joined = format!("{flag}={value}");
            assert!(parse(&[&joined]).is_err(), "{joined} was taken");
        }
        assert!(parse(&["--baseline", "--compare"]).is_err());
    }
}
