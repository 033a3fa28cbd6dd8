//! The secret is rotated, and the old one retired, while callers go on.
//!
//! Threads: three to six callers of two keys and two rotators. Property: as in `sweep`, across
//! the rotations: a request is admitted once, whichever secret its callers know (I1, I4), and its
//! tokens grow although its home changes (I2). Left out: waiting.

use std::sync::Arc;

use oncegate::{BeginOptions, Bug, ErrorCode};

use crate::site::{Dice, End, INLINE, LEASE, Site, WINDOW, secret};
use crate::support::{Drawn, broken, crew, explore};

fn rotations_beside_callers() {
    let site = Arc::new(Site::roomy(2, Drawn.any(&INLINE)));
    let inside = Arc::clone(&site);
    crew(5 + Drawn.roll(4), move |number| {
        for round in 0..3 {
            match number {
                0 => rotates(&site, round),
                1 => {
                    site.clock.advance(Drawn.any(&[LEASE, WINDOW]));
                    retires(&site);
                }
                _ => {
                    let key = Drawn.roll(2) as usize;
                    site.run(key, &BeginOptions::new(), Drawn.any(&End::ALL));
                }
            }
        }
    });
    inside.comes_to_rest();
}

pub(crate) fn rotates(site: &Site, round: u8) {
    if let Err(error) = site.engine.rotate_secret(secret(8 + round)) {
        assert_eq!(error.code(), ErrorCode::RotationPending, "{error}");
    }
}

pub(crate) fn retires(site: &Site) {
    if let Err(error) = site.engine.finish_rotation() {
        let expected = [ErrorCode::RotationPending, ErrorCode::NotFound];
        assert!(expected.contains(&error.code()), "{error}");
    }
}

/// Goal: no request runs twice across a rotation. Method: callers with ends of all kinds while
/// two threads rotate, move the clock, and retire what is over.
#[test]
fn requests_run_once_across_it() {
    explore("rotation::requests_run_once_across_it", rotations_beside_callers);
}

/// Goal: the scenario bites. Method: an insertion does not disturb the old home.
#[test]
fn broken_rotation_skips_old_home() {
    broken(Bug::RotationSkipsOldHome, rotations_beside_callers);
}

/// Goal: the scenario bites. Method: the end of a rotation sweeps in turn with everybody else,
/// and believes that what is over is gone.
#[test]
fn broken_rotation_sweeps_in_turn() {
    broken(Bug::RotationSweepsInTurn, rotations_beside_callers);
}
