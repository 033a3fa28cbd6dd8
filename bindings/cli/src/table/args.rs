//! What the commands for shared tables take, and the help that teaches them.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use oncegate::{FileAccess, Scope};

use crate::cli::whole;

/// Which file is looked at, and which files are safe to look at.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// The file that processes share, as they were given it
    #[arg(value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub path: PathBuf,
    /// The file's group may read and write it (permissions 0660 instead of 0600)
    #[arg(long)]
    pub group: bool,
    /// The file may belong to another user
    #[arg(long)]
    pub foreign_owner: bool,
    /// The path may lead to the file by a symbolic link
    #[arg(long)]
    pub follow_symlink: bool,
    /// The file may lie on a file system that is not known to be this machine's own
    #[arg(long)]
    pub any_file_system: bool,
}

impl TableArgs {
    /// What the options allow.
    pub(crate) fn access(&self) -> FileAccess {
        let access = FileAccess::owner_only();
        let access = if self.group { access.group() } else { access };
        let access = access.foreign_owner(self.foreign_owner).symlink(self.follow_symlink);
        access.any_file_system(self.any_file_system)
    }
}

/// Options of `oncegate inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The table.
    #[command(flatten)]
    pub table: TableArgs,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
    /// Scopes that are listed, and processes, 0 to 1000; live processes come first
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = whole::<u16>(0, 1_000), allow_negative_numbers = true)]
    pub top: u16,
    /// Show what the scope of this name uses, too, if something limits it
    #[arg(long, value_name = "NAME", value_parser = scope_name)]
    pub scope: Option<String>,
}

/// Options of `oncegate top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// The table.
    #[command(flatten)]
    pub table: TableArgs,
    /// Milliseconds from one look to the next, 100 to 3600000
    #[arg(long, value_name = "MS", default_value_t = 1_000,
        value_parser = whole::<u32>(100, 3_600_000), allow_negative_numbers = true)]
    pub interval: u32,
    /// End after this many looks, 1 to 1000000000
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1, 1_000_000_000),
        allow_negative_numbers = true)]
    pub count: Option<u32>,
    /// Look once, without a rate
    #[arg(long, conflicts_with = "count")]
    pub once: bool,
}

/// Options of `oncegate doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The table.
    #[command(flatten)]
    pub table: TableArgs,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
    /// Remove the table if it is damaged and nobody uses it; the next process makes a new one
    #[arg(long)]
    pub recreate: bool,
    /// With --recreate: remove it even if it is not damaged, or is no table at all
    #[arg(long, requires = "recreate")]
    pub force: bool,
    /// How a store across machines is joined.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// How a store across machines is joined, as an engine's settings say it.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// Of a store across machines: what its keys begin with, if that is not the default
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Of a store with TLS: the authority that its certificate is checked with, in PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub tls_root: Option<PathBuf>,
    /// Of a store with TLS: the certificate that shows it who connects, in PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Of a store with TLS: the key of that certificate, in PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
        requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// The URL is that of a node of a Cluster
    #[arg(long, conflicts_with = "sentinel_name")]
    pub cluster: bool,
    /// The name by which Sentinels know the master
    #[arg(long, value_name = "NAME", requires = "sentinel")]
    pub sentinel_name: Option<String>,
    /// The URL of a Sentinel; for each of them once
    #[arg(long, value_name = "URL", requires = "sentinel_name")]
    pub sentinel: Vec<String>,
}

/// Options of `oncegate gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// The table.
    #[command(flatten)]
    pub table: TableArgs,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Reads the name of a scope.
fn scope_name(text: &str) -> Result<String, String> {
    Scope::new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

pub(crate) const INSPECT_ABOUT: &str = "\
Show what a table that processes share holds, and who uses it.

The file is read from outside: it is opened read-only, no entry of its registry is taken, and no \
secret is needed. Nothing of a request is shown. Numbers are put together while others work, so \
that those which belong together may differ by what happened meanwhile.";

pub(crate) const INSPECT_HELP: &str = "\
Examples:
  oncegate inspect /dev/shm/charges
  oncegate inspect /dev/shm/charges --json --top 100
  oncegate inspect /var/lib/app/charges --group --foreign-owner --scope acme

When a lease began is not kept. So the oldest ones are told by their deadlines: for how long the
one that lapsed first has been over, and when the next one lapses.

Only scopes that something limits have an entry, by their hash under the table's own salt; the
records of all others are counted together. So --scope tells what a scope uses only if it has a
quota, or its table a quota by default.

With --json, docs/looking-after-shared-tables.md tells what each field means. If the command fails,
the object says why in `error`.

Exit status:
  0  done
  1  the file could not be read, or is no table
  2  wrong usage";

pub(crate) const TOP_ABOUT: &str = "\
Watch a table that processes share: fill, records, leases, processes, and new records a second.

On a terminal the view is drawn anew at each interval, as much of it as fits the window; into a \
pipe or a file one block is printed for each. It ends with Ctrl-C, after --count looks, or when \
whoever reads its output has gone. If the table is removed while it is watched, it looks for the \
next one.";

pub(crate) const TOP_HELP: &str = "\
Examples:
  oncegate top /dev/shm/charges
  oncegate top /dev/shm/charges --interval 200
  oncegate top /dev/shm/charges --count 60 > an-hour-of-it.txt

Each look reads all of the file but the outcomes: of a table of gigabytes, look less often.

Exit status:
  0  done
  1  the file could not be read, or is no table
  2  wrong usage";

pub(crate) const DOCTOR_ABOUT: &str = "\
Check a table that processes share, and say what to do.

It looks at the header, the file's size and permissions, the key file beside it, every slot, set \
and chunk for what no step of the engine leads to, processes that ended and what they left, and \
drafts that nobody finished. The file is opened read-only. What looks impossible is read again \
before it is told, so that a table at work is not taken for a broken one.

With --recreate it removes a table that is damaged itself, after it has made sure that no process \
uses it; with --force as well, any other that nobody uses. With the table go its records: what ran \
before may run again. The key file stays, and a new table that is given no secret takes the one \
that is kept there. A new table that is given a secret has no use for it: move it away then.";

pub(crate) const DOCTOR_HELP: &str = "\
Examples:
  oncegate doctor /dev/shm/charges
  oncegate doctor /dev/shm/charges --json
  oncegate doctor /dev/shm/charges --recreate
  oncegate doctor redis://10.0.0.5
  oncegate doctor rediss://10.0.0.5 --tls-root authority.pem

A URL names a store across machines (redis, rediss, unix, and the same of valkey): it is joined as
an engine joins it, and what endangers its promises is a finding, among them that a second claim is
not refused. With Sentinels the URL says as whom the master is spoken to.

Each finding has a severity (info, warning or error), a code that stays the same from version to
version, what was found, and what to do. Damaged is a table with the finding header-invalid,
slots-impossible, tags-wrong, sets-impossible or chunks-impossible; every other asks for --force.
docs/looking-after-shared-tables.md lists them, and the fields of the JSON object.

Exit status:
  0  no finding is an error; or with --recreate: the table was removed, or there is none
  1  a finding is an error; or --recreate was refused
  2  wrong usage";

pub(crate) const GC_ABOUT: &str = "\
Clear what dead processes left in a table, what is over in it, and drafts that nobody finished.

No table needs it: whoever meets what a dead process left takes it over at once, and new records \
clear old ones. A draft is a file that somebody began to make a table in, and was killed over; one \
that was changed in the last 15 minutes may still be worked on, and stays. Drafts are removed also \
where there is no table. It takes part in the table as a process of its own while it runs. It \
needs no secret and lets nothing begin.";

pub(crate) const GC_HELP: &str = "\
Example:
  oncegate gc /dev/shm/charges

With --json, docs/looking-after-shared-tables.md tells what each field means. If the command fails,
the object says why in `error`.

Exit status:
  0  done
  1  there is no table, it could not be opened, or it has no entry left for one more process
  2  wrong usage";
