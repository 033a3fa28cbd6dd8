//! What tests, measurements and demos need to work with real Redis servers and bad networks.
//!
//! - [`Server`]: a Redis server on a free loopback port, ended with its value, whatever happens to
//!   the program that started it; killed, paused and started again at will.
//! - [`Cluster`] and [`Sentinels`]: several of them, whose slots move and whose primaries fail.
//! - [`Proxy`]: a TCP proxy with the faults of a network, and rules for single requests and
//!   replies, such as a reply that is lost after its request was executed.
//! - [`Program`]: a process of its own that does as it is told, paused and killed at will.
//!
//! ```no_run
//! use oncegate_rig::{Proxy, Server};
//!
//! # fn main() -> Result<(), oncegate_rig::Error> {
//! let server = Server::start()?;
//! let proxy = Proxy::to(server.address())?;
//! // Executed, but its client hears only that the connection was reset.
//! proxy.drop_reply_to("EVALSHA", 1);
//! println!("redis://{}", proxy.address());
//! # Ok(())
//! # }
//! ```
//!
//! Everything here waits for events with a deadline of [`PATIENCE`], never for a time.

mod certificates;
mod clock;
mod cluster;
mod error;
mod folder;
mod guard;
mod ports;
mod process;
mod program;
mod proxy;
mod random;
mod requirement;
pub mod resp;
mod sentinels;
mod server;

pub use self::certificates::Certificates;
pub use self::clock::{PATIENCE, until};
pub use self::cluster::{Cluster, Migration, SLOTS, Shape};
pub use self::error::Error;
pub use self::folder::Folder;
pub use self::program::Program;
pub use self::proxy::{Action, Close, Counts, Direction, Proxy, Rule, Toxic};
pub use self::requirement::{MISSING, present, version};
pub use self::sentinels::Sentinels;
pub use self::server::{Clients, Fsync, Options, Server};
