//! A process dies at some step of an insertion, while another asks for the same request.
//!
//! Threads: two, of two processes; the dying one at each of its writes in turn. Bound: two
//! preemptions. Property: whoever comes after the death is admitted at once, in a table whose sets
//! are full too; of two who come at once, one is; tokens rise (I1, I2, I8). Left out: waiting.

use crate::support::*;
use oncegate::Bug;
use std::sync::Arc;

/// One process begins `k` and dies; the other begins it meanwhile, and again afterwards.
fn dies_beside_another(full: bool, writes: u64) -> bool {
    let world = small();
    if full {
        (0..8).for_each(|number| finish(&world.engine, &format!("old-{number}")));
    }
    let doomed = beside(&world, 2, |builder| builder);
    let survivor = Arc::clone(&world.engine);
    let (met, died) = race(
        move || begin(&survivor, "k"),
        move || dies(&doomed, writes, |engine| drop(begin(engine, "k"))),
    );
    let again = begin(&world.engine, "k");
    let held = met.token();
    match (held, died) {
        (Some(_), _) => assert!(matches!(again, Got::InProgress(_)), "{met:?}, then {again:?}"),
        (None, true) => assert!(again.token().is_some(), "nobody runs it: {again:?}"),
        (None, false) => assert_eq!(again, Got::InProgress(1), "the other one lives"),
    }
    died
}

/// Goal: a death in the middle of an insertion admits the next caller. Method: every write of it,
/// every schedule.
#[test]
fn the_next_caller_is_admitted() {
    at_every_write(2, |writes| dies_beside_another(false, writes));
}

/// Goal: the same where the insertion evicts. Method: both sets are full of finished records.
#[test]
fn the_next_caller_is_admitted_in_a_full_table() {
    at_every_write(1, |writes| dies_beside_another(true, writes));
}

/// Two survivors meet what a dead insertion has left.
fn met_by_two(writes: u64) -> bool {
    let world = small();
    let doomed = beside(&world, 2, |builder| builder);
    let died = dies(&doomed, writes, |engine| drop(begin(engine, "k")));
    let other = beside(&world, 3, |builder| builder);
    let one = Arc::clone(&world.engine);
    let (one, two) = race(move || begin(&one, "k"), move || begin(&other, "k"));
    let admitted = [&one, &two].into_iter().filter(|got| got.token().is_some()).count();
    assert_eq!(admitted, usize::from(died), "{one:?} and {two:?}");
    died
}

/// Goal: two recoverers at once admit one. Method: every write at which the inserter may have died.
#[test]
fn two_recoverers_admit_one() {
    at_every_write(2, met_by_two);
}

/// What a dead insertion claimed is free again: other requests take its slot.
fn its_slot_is_free(writes: u64) -> bool {
    let world = small();
    let doomed = beside(&world, 2, |builder| builder);
    let died = dies(&doomed, writes, |engine| drop(begin(engine, "k")));
    let home = home_of(&world.engine, "k");
    let keys = keys_of_home(&world.engine, home);
    let other = beside(&world, 3, |builder| builder);
    let mut keys = keys.filter(|key| key != "k");
    let [first, second] = [keys.next(), keys.next()].map(|key| key.expect("enough"));
    let one = Arc::clone(&world.engine);
    let (one, two) = race(move || begin(&one, &first), move || begin(&other, &second));
    assert!(one.token().is_some() && two.token().is_some(), "{one:?} and {two:?}");
    let k = begin(&world.engine, "k");
    assert_eq!(k.token().is_some(), died, "{k:?}");
    // Three of eight are held; the others are free, the dead one's among them.
    for key in keys.take(5) {
        assert!(begin(&world.engine, &key).token().is_some(), "after write {writes}");
    }
    died
}

/// Goal: nothing leaks. Method: after each death, the table takes as many as it has slots.
#[test]
fn every_slot_is_used_again() {
    at_every_write(1, its_slot_is_free);
}

/// Goal: the model bites. Method: deaths are not noticed.
#[test]
fn broken_death_unnoticed() {
    broken(Bug::DeathUnnoticed, || _ = dies_beside_another(false, 15));
}

/// Goal: the model bites. Method: the slot of a dead claimer stays claimed.
#[test]
fn broken_dead_claim_stays() {
    broken(Bug::DeadClaimStays, || _ = its_slot_is_free(3));
}
