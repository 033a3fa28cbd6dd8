//! The tier in Redis, held to the contract.

use oncegate::tier::RedisBuilder;
use oncegate::tier::conformance::Suite;
use oncegate_rig::present;

use super::rig::{MAX_OUTCOME, OneServer};
use crate::conforms;

/// Goal: the tier keeps the contract on one server, whose time and memory are troubled. Method: the
/// conformance suite, by the server's socket.
#[test]
fn one_server_conforms() {
    if present("the Redis tier") {
        // What is left for another table's scheduler is stored only if it can be encrypted.
        conforms(&OneServer::new(|b| b.encryption_key([7; 32]), Some(MAX_OUTCOME), false));
    }
}

/// Goal: requests and replies that are lost are asked again, and nothing is done twice. Method: the
/// cases that lose them, through a proxy; with RESP3, a retiring key, compression, and a single
/// connection.
#[test]
fn what_is_lost_is_asked_again() {
    fn settings(builder: RedisBuilder) -> RedisBuilder {
        let builder = builder.resp3(true).compress_from(64).connections(1);
        builder.encryption_key([7; 32]).retiring_key([8; 32])
    }
    if present("the Redis tier") {
        // What is compressed hardly ever becomes too large.
        let rig = OneServer::new(settings, None, true);
        for part in ["asked_again", "refused"] {
            let report = Suite::new().only(part).check(&rig);
            assert!(report.has_passed() && report.unchecked().count() == 0, "{report}");
        }
    }
}
