//! The rig itself, with real servers and real processes. Where no server is installed, what needs
//! one is skipped, and says so.

mod client;
mod cluster;
mod program;
mod proxy;
mod sentinels;
mod server;
mod tls;
mod toxics;
