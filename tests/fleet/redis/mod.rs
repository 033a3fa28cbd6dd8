//! The tier in Redis, on real servers. Where none is installed, these are skipped, and say so.

mod conforms;
mod cost;
mod faults;
mod letters;
mod log;
mod pasts;
mod places;
mod refusals;
mod rig;
mod secrets;
mod steps;
