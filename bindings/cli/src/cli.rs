//! The command line: what can be asked, and the help that teaches it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::bench::MAX_ROUNDS;
use crate::crew::{MAX_KILL_RATE, MOST_HOSTS, MOST_PROCESSES};
use crate::input::DERIVATION;
use crate::storm::outage::Asked;
use crate::storm::{MAX_RATE, Shape, describe_sums};
use crate::table;
pub use crate::table::{
    ContextAs, DlqArgs, DlqCommand, DoctorArgs, GcArgs, InspectArgs, LetterFilterArgs, LetterOnes,
    LsArgs, Moment, Reason, ShowArgs, TableArgs, TopArgs,
};

/// Everything that the command line takes.
#[derive(Debug, Parser)]
#[command(
    name = "oncegate",
    version,
    about = "Make a retried request run once: see it, measure it, and look after shared tables",
    long_about = LONG_ABOUT,
    after_long_help = AFTER_HELP,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `oncegate` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deliver real requests several times, overlapping, to handlers that fail, panic and stall
    #[command(long_about = STORM_ABOUT, after_long_help = storm_after_help())]
    Storm(StormArgs),
    /// Measure the engine on this machine, in less than 20 seconds
    #[command(long_about = BENCH_ABOUT)]
    Bench(BenchArgs),
    /// Show what a shared table holds, and who uses it
    #[command(long_about = table::INSPECT_ABOUT, after_long_help = table::INSPECT_HELP)]
    Inspect(InspectArgs),
    /// Watch a shared table, until Ctrl-C
    #[command(long_about = table::TOP_ABOUT, after_long_help = table::TOP_HELP)]
    Top(TopArgs),
    /// Check a shared table, and say what to do
    #[command(long_about = table::DOCTOR_ABOUT, after_long_help = table::DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Clear what dead processes left in a shared table, and what is over
    #[command(long_about = table::GC_ABOUT, after_long_help = table::GC_HELP)]
    Gc(GcArgs),
    /// Look after dead letters: records that have failed for good
    #[command(long_about = table::DLQ_ABOUT, after_long_help = table::DLQ_HELP)]
    Dlq(DlqArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  oncegate completions bash > oncegate.bash")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// One process of a storm, which the others start
    #[command(hide = true)]
    StormWorker(WorkerArgs),
}

/// What one process of a storm is started with.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// The folder of the storm
    pub folder: PathBuf,
    /// The table that its processes share
    pub table: PathBuf,
    /// Whose share it delivers, from 0
    pub index: usize,
    /// Which process of the storm it is, counted over all that were started
    pub instance: u32,
}

/// Options of `oncegate storm`.
#[derive(Debug, Args)]
pub struct StormArgs {
    /// Requests as newline-delimited JSON, plain or gzip (told by its first bytes); - is stdin
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub input: PathBuf,
    /// Threads that deliver, 1 to 512
    #[arg(long, value_name = "N", default_value_t = 16,
        value_parser = whole::<u16>(1, 512), allow_negative_numbers = true)]
    pub clients: u16,
    /// Times that each line is delivered, 1 to 100
    #[arg(long, value_name = "M", default_value_t = 4,
        value_parser = whole::<u16>(1, 100), allow_negative_numbers = true)]
    pub copies: u16,
    /// Share of handler runs that fail, 0 to 0.9; about a quarter of them by a panic
    #[arg(long, value_name = "P", default_value_t = 0.1, value_parser = rate,
        allow_negative_numbers = true)]
    pub fail_rate: f64,
    /// Share of handler runs that outlive their lease, then still try to write, 0 to 0.9
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = rate,
        allow_negative_numbers = true)]
    pub pause_rate: f64,
    /// Where every choice of the storm comes from: the same seed, the same storm
    #[arg(long, value_name = "S", default_value_t = 1,
        value_parser = whole::<u64>(0, u64::MAX), allow_negative_numbers = true)]
    pub seed: u64,
    /// Middle of a handler's working time, in milliseconds, 0 to 10000
    #[arg(long, value_name = "MS", default_value_t = 5,
        value_parser = whole::<u64>(0, 10_000), allow_negative_numbers = true)]
    pub work_ms: u64,
    /// How long a lease lasts, and how long a client waits before it sends again, 10 to 60000
    #[arg(long, value_name = "MS", default_value_t = 100,
        value_parser = whole::<u64>(10, 60_000), allow_negative_numbers = true)]
    pub lease_ms: u64,
    /// Deliver from this many processes that share one table, 1 to 64
    #[arg(long, value_name = "N", conflicts_with_all = ["baseline", "compare"],
        value_parser = whole::<u16>(1, MOST_PROCESSES.into()), allow_negative_numbers = true)]
    pub processes: Option<u16>,
    /// With --processes: kills a second, by SIGKILL, 0 to 100
    #[arg(long, value_name = "P", default_value_t = 2.0, requires = "processes",
        value_parser = kill_rate, allow_negative_numbers = true)]
    pub kill_rate: f64,
    /// With --processes: the file that they share, made if absent; else a temporary one in memory
    #[arg(long, value_name = "FILE", requires = "processes", value_hint = ValueHint::FilePath)]
    pub path: Option<PathBuf>,
    /// Deliver from this many hosts that share a Redis server, 2 to 8, and have a table each; the
    /// server is started for it, and it and a host are killed
    #[arg(long, value_name = "N",
        conflicts_with_all =
            ["baseline", "compare", "processes", "kill_rate", "path", "outage_ms"],
        value_parser = whole::<u16>(2, MOST_HOSTS.into()), allow_negative_numbers = true)]
    pub hosts: Option<u16>,
    /// Deliver to a downstream that is down for so long, in milliseconds, 200 to 20000: retried at
    /// once, with backoff alone, and through the engine
    #[arg(long, value_name = "MS", conflicts_with_all = ["baseline", "compare", "processes"],
        value_parser = whole::<u64>(200, 20_000), allow_negative_numbers = true)]
    pub outage_ms: Option<u64>,
    /// With --outage-ms: calls that the downstream works on at once when it is up, 1 to 1024; else
    /// so many that the deliveries take up 60 % of it
    #[arg(long, value_name = "N", requires = "outage_ms",
        value_parser = whole::<u16>(1, 1_024), allow_negative_numbers = true)]
    pub capacity: Option<u16>,
    /// With --outage-ms: write a picture of the calls over time
    #[arg(long, value_name = "FILE", requires = "outage_ms", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// Run without the engine: retry with backoff, no coordination
    #[arg(long, conflicts_with = "compare")]
    pub baseline: bool,
    /// Run without and then with the engine, and show both side by side
    #[arg(long)]
    pub compare: bool,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Options of `oncegate bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Rounds of each measurement, of which the median counts, 1 to 7; fewer where time runs out
    #[arg(long, value_name = "N", default_value_t = 5,
        value_parser = whole::<u16>(1, MAX_ROUNDS.into()), allow_negative_numbers = true)]
    pub rounds: u16,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

impl StormArgs {
    /// The outage that the options ask for, if they do.
    pub(crate) fn outage(&self) -> Option<Asked> {
        let outage = Duration::from_millis(self.outage_ms?);
        Some(Asked { outage, capacity: self.capacity.map(usize::from) })
    }

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

/// The command line as people are to see it, without what processes start one another by.
pub(crate) fn shown() -> clap::Command {
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let about = all.get_about().cloned().unwrap_or_default();
    let command = clap::Command::new("oncegate").version(env!("CARGO_PKG_VERSION"));
    command.about(about).subcommands(shown)
}

/// Reads a share; the highest is below 1, so that a storm ends.
fn rate(text: &str) -> Result<f64, String> {
    up_to(text, MAX_RATE)
}

/// Reads kills a second.
fn kill_rate(text: &str) -> Result<f64, String> {
    up_to(text, MAX_KILL_RATE)
}

fn up_to(text: &str, most: f64) -> Result<f64, String> {
    let found = match text.parse::<f64>() {
        Ok(rate) if (0.0..=most).contains(&rate) => return Ok(rate),
        Ok(rate) if rate < 0.0 => "a negative number",
        Ok(rate) if rate > most => "a number above the limit",
        _ => "no number",
    };
    Err(format!("found {found}; limit: 0 to {most}"))
}

/// Reads a whole number between two limits, both of which it may be.
pub(crate) fn whole<T: TryFrom<u64>>(
    min: u64,
    max: u64,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text| {
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let found = match text.parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => match T::try_from(number) {
                Ok(number) => return Ok(number),
                Err(_) => "a number above the limit",
            },
            Ok(number) if number < min => "a number below the limit",
            Ok(_) => "a number above the limit",
            Err(_) if text.strip_prefix('-').is_some_and(is_number) => "a negative number",
            // Of digits alone, and yet no u64.
            Err(_) if !text.is_empty() && is_number(text) => "a number above the limit",
            Err(_) => "no whole number",
        };
        Err(format!("found {found}; limit: {min} to {max}"))
    }
}

fn storm_after_help() -> String {
    let sums = describe_sums();
    format!("{STORM_HELP}\n\n{DERIVATION}\n\n{STORM_COUNTS}\n\n{sums}\n\n{EXIT_STATUS}")
}

const LONG_ABOUT: &str = "\
Make a retried request run once: see it on your own requests, and measure it here.

Clients send a request again when they get no answer in time; brokers deliver twice; fail-overs \
replay. A request that runs twice charges twice. oncegate is an engine that services embed: one \
record for each request owns its lease, its outcome and its next attempt, so that duplicates get \
the stored outcome, and an attempt that outlived its lease is fenced off. This command shows and \
measures that engine, and looks after the tables that processes of a machine share by it.";

const AFTER_HELP: &str = "\
Examples:
  oncegate storm --input requests.ndjson.gz --compare
  oncegate storm --input requests.ndjson --baseline --json
  oncegate bench
  oncegate inspect /dev/shm/charges
  oncegate top /dev/shm/charges
  oncegate doctor /dev/shm/charges
  oncegate completions zsh > _oncegate

Exit status:
  0  done
  1  the run failed, the engine broke its promise, or a table is damaged
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
and exits with 1.

With --processes, real processes share one table and are killed by SIGKILL at random, --kill-rate \
times a second during the first minute; each victim starts again. What a killed process held is \
taken over at once. No handler outlives its lease then, and --pause-rate and --lease-ms play no \
part. Effects go to a file to which all append, each with its fencing token: an attempt that was \
killed between its effect and its completion runs again, and is reported as interrupted.

With --hosts, processes stand for hosts: each has a table of its own, and all share a Redis server \
that is started for the storm (redis-server must be installed), with a log on disk. When a third \
of the requests have an effect, a host is killed, and one with an empty table takes its place; \
when two thirds have, Redis is killed, and starts again. The same deliveries run first under locks \
written by hand: SET with NX and PX, released after the work, with no outcome kept. The ledger \
refuses an effect whose fencing token is stale; an attempt that is not the first asks it whether \
one before it has made the effect. Options as with --processes.

With --outage-ms, handlers call a downstream that is down for so long, and the same deliveries \
run three times: retried at once; with backoff (full jitter, eight attempts) and each delivery \
for itself; and through the engine, which owns the next attempt of each request, has it paid for \
by a retry budget, stretches delays while calls fail, and hands attempts to workers. Time is \
real and compressed: deliveries come for three times the outage, of which half a time before it, \
and what is not done after six times is broken off. The downstream works on --capacity calls at \
once, for about --work-ms each, takes 25 times as many, and refuses the rest. It does not notice \
that a caller has stopped waiting, which he does after five times --work-ms: such a call has its \
effect all the same. Through the engine, it checks fencing tokens. --fail-rate is the share of \
calls that fail while it is up. Lines that come with another payload under a known key are not \
delivered; --pause-rate and --lease-ms play no part.";

const STORM_HELP: &str = "\
Examples:
  oncegate storm --input requests.ndjson.gz --processes 4 --kill-rate 5 --work-ms 100
  oncegate storm --input requests.ndjson.gz --outage-ms 1500 --clients 48 --svg outage.svg
  oncegate storm --input requests.ndjson.gz --hosts 2 --work-ms 60
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
  completed          deliveries answered by the completion of their own attempt
  completed_late     completions of attempts whose client had stopped waiting; through the engine,
                     these and `completed` are one for each request that it did not refuse
  replayed           duplicates answered with the stored outcome
  in_progress        calls answered that another attempt runs
  mismatched         deliveries refused because the key came with another payload
  fenced             writes that the ledger refused for a stale fencing token
  fenced_starts      attempts that it refused for the same reason before they ran
  adopted_effects    attempts that found their predecessor's late effect, and completed with it
  refused, deferred  deliveries that the engine refused for good; calls that it refused for now
  unexpected, unanswered
                     defects, wherever they are not 0: answers that no call may get, and deliveries
                     without a final answer
  p50_ns, p99_ns, p999_ns
                     time of `begin` in nanoseconds, with the hashing of the payload, whose sizes
                     are in median_payload_bytes and largest_payload_bytes; 0 in the baseline
  per_second         deliveries answered for good, per second

With --processes --json, one object with these fields among others:
  kills, attempts    processes that were killed; attempts that were admitted
  effects            side effects: distinct + interrupted_attempts + duplicate_effects
  interrupted_attempts
                     effects of attempts that were killed before they completed, told by their
                     fencing tokens; the requests ran again
  duplicate_effects  any other effect beyond the first of a request: a broken promise
  killed_before_effect
                     attempts that were killed before they had an effect
  recovered_leases   attempts of killed processes that another process took over
  recovery_median_ms, recovery_longest_ms
                     from the kill of a process to the next attempt of a request that it held; who
                     waited for the request notices, or the next who asks
  lost_outcomes      requests whose stored outcome was gone or another one: a broken promise
  invariants         what was checked, in words
  violations         what was broken, by line of the input

With --hosts --json, one object with the fields of the storm, and `by_hand` and `engine`, which have
the fields of a run:
  mode, seed, hosts, threads, copies, lease_ms
                     the storm; how long a lease lasts, or a lock by hand
  by_hand, engine    the runs
  deliveries, distinct, answered, attempts, failed, effects, duplicate_effects
                     as above
  host_kills, store_restarts
                     hosts that were killed; how often Redis was killed, and started again
  killed_before_effect, interrupted_attempts
                     attempts that a kill cut off before their effect, and between it and their
                     completion
  adopted_effects    attempts that found the effect of one before them, and completed with it
  fenced             attempts that were refused for a stale fencing token
  missing_effects    requests without an effect
  outcomes_elsewhere, mismatched
                     requests whose outcome a host has that ran none of them, and deliveries that it
                     refused for another payload; null where no outcome is kept
  elapsed_ms         how long it took
  violations         what was broken

With --outage-ms --json, one object with the fields of the storm, and `at_once`, `backoff` and
`engine`, which have the fields of a run; times a capacity or what can be answered are plain ratios:
  mode, seed, clients, copies, lines, skipped_lines, deliveries, distinct, violations
                     as above; of lines, those that were run
  at_once, backoff, engine
                     the runs
  outage_ms          when the downstream goes down, and when it is back, since the start
  window_ms, horizon_ms
                     until when deliveries come, and when a run is broken off
  capacity, room     calls that it works on at once, and that it has taken at the most
  work_ms, patience_ms
                     the middle of a call's working time, and how long its caller waits
  capacity_per_second
                     calls that it can answer in a second
  slice_ms           the length of a slice
  calls, refused, timed_out, failed
                     calls that reached it; those that it refused, whose callers stopped waiting,
                     and that it answered with an error
  peak_load, peak_load_after
                     the calls of the busiest slice, in times of what it can answer; once it is back
  most_at_once, most_at_once_after
                     the most calls that it had at once, in times of its capacity; once it is back
  effects, duplicate_effects
                     side effects; those beyond the first of each request
  effects_per_request, most_effects
                     on average, of those that had any, and of the request that had the most
  done               requests of which somebody heard that they were done
  answered, given_up, unanswered
                     how deliveries ended; unanswered when the run was broken off
  finished_ms        until all was done or given up; null, if the run was broken off
  coordinated        deliveries that the engine answered by what it knew of their request
  dead_letters, out_of_attempts, out_of_budget
                     records that came to have no next attempt, and why
  redriven, dead_letters_left
                     dead letters that were redriven once calls were answered again, and the others
  fenced             calls, completions and retries refused for a stale fencing token
  most_stretch       by how much adaptive backoff stretched delays at the most
  calls_by_slice, done_by_slice
                     calls of each slice, and requests that were done by its end";

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  the input could not be read, or the engine broke its promise
  2  wrong usage
  3  done, but lines of the input were broken and skipped, or refused by the engine";

const BENCH_ABOUT: &str = "\
Measure the engine on this machine, in less than 20 seconds.

Each measurement runs several rounds, shuffled among the others, and shows the median. No round \
starts after 14 seconds; the table says how many were made. The figures \
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
        for (flag, value, found, limit) in [
            ("--fail-rate", "0.91", "above", "0 to 0.9"),
            ("--fail-rate", "-0.1", "negative", "0 to 0.9"),
            ("--pause-rate", "-1", "negative", "0 to 0.9"),
            ("--pause-rate", "NaN", "no number", "0 to 0.9"),
            ("--clients", "0", "below", "1 to 512"),
            ("--clients", "-5", "negative", "1 to 512"),
            ("--clients", "99999999999999999999", "above", "1 to 512"),
            ("--clients", "513", "above", "1 to 512"),
            ("--copies", "0", "below", "1 to 100"),
            ("--copies", "101", "above", "1 to 100"),
            ("--copies", "1.5", "no whole number", "1 to 100"),
            ("--lease-ms", "9", "below", "10 to 60000"),
            ("--work-ms", "10001", "above", "0 to 10000"),
            ("--work-ms", "-1", "negative", "0 to 10000"),
            ("--processes", "0", "below", "1 to 64"),
            ("--processes", "65", "above", "1 to 64"),
            ("--kill-rate", "100.5", "above", "0 to 100"),
            ("--kill-rate", "-1", "negative", "0 to 100"),
            ("--kill-rate", "NaN", "no number", "0 to 100"),
            ("--seed", "-1", "negative", "0 to 18446744073709551615"),
            ("--seed", "18446744073709551616", "above", "0 to 18446744073709551615"),
        ] {
            for args in [&[&*format!("{flag}={value}")][..], &[flag, value]] {
                let error = parse(args).unwrap_err().to_string();
                for part in [flag, found, limit] {
                    assert!(error.contains(part), "{args:?}: {part:?} is missing in: {error}");
                }
            }
        }
        let bench = |rounds| Cli::try_parse_from(["oncegate", "bench", "--rounds", rounds]);
        assert!(bench("7").is_ok() && bench("8").is_err() && bench("-1").is_err());
        assert!(parse(&["--baseline", "--compare"]).is_err());
        assert!(parse(&["--processes", "64", "--kill-rate", "100", "--path", "t"]).is_ok());
        let alone = [&["--kill-rate", "1"][..], &["--path", "t"]];
        assert!(alone.iter().all(|options| parse(options).is_err()), "they need --processes");
        let top = |options: &[&str]| {
            let base = ["oncegate", "top", "t"];
            Cli::try_parse_from(base.iter().chain(options)).is_ok()
        };
        assert!(top(&["--interval", "100"]) && !top(&["--interval", "99"]));
        assert!(top(&["--count", "1"]) && !top(&["--count", "0"]));
    }
}
