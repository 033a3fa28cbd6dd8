//! Two hosts and a real Redis server, with faults on the way between them.
//!
//! What counts is the effect: whatever goes wrong, it happens once, and both hosts come to replay
//! what it left (I1, I4; the policy is to refuse).

mod matrix;
mod site;
