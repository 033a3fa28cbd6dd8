//! The tier in Redis beside what people write with the same server.
//!
//! A new request is claimed and then ended with an outcome of 64 bytes; a duplicate gets that
//! outcome. All contenders share one server and one run, in an order that is shuffled anew in each
//! round; only ratios within a run mean something. `make bench-tier` prints the tables.
//!
//! | file | what it owns |
//! |---|---|
//! | `peers` | the contenders: what each is asked, and what it promises |
//! | `cells` | what is measured of whom, round by round |
//! | `callers` | threads and tasks that call until the time is over |
//! | `server` | the server, and what it says of itself |
//! | `traffic` | requests and server time of one operation, counted |
//! | `memory` | what a finished record takes in the server |
//! | `layout` | strings against hashes, compression against none |
//! | `table` | tables in Markdown |
//! | `options` | arguments |

mod callers;
mod cells;
mod layout;
mod memory;
pub mod options;
pub mod peers;
mod server;
mod table;
mod traffic;

pub use self::cells::rounds;
pub use self::layout::layouts;
pub use self::memory::memory;
pub use self::server::{Store, Way};
pub use self::traffic::traffic;
