//! The log of dead letters, of a tier that has one.

use std::time::Duration;

use super::rig::Trouble;
use super::stage::{
    Case, LEASE, Node, Stage, Stop, Verdict, WITHIN, cases, ensure, fail, must, same,
};
use super::troubles::again;
use crate::engine::{Buried, LetterId};
use crate::tier::{Letter, LetterReason, TableId};

pub(super) const CASES: &[Case] = cases![
    letters_are_entered_whole_and_in_their_order,
    a_letter_is_entered_once,
    letters_that_differ_are_all_entered,
    the_log_keeps_the_last_letters,
    a_letter_that_has_gone_may_be_entered_again,
    letters_are_asked_again,
    a_log_needs_no_session,
];

/// Alone and several at once, from two tables.
fn letters_are_entered_whole_and_in_their_order(stage: &Stage<'_>) -> Verdict {
    let (node, _) = keeping(stage)?;
    let other = stage.node()?;
    let several = [letter(stage, &node), letter(stage, &node)];
    let single = Letter { id: None, reason: LetterReason::Conflict, ..letter(stage, &other) };
    log(&node, &[])?;
    log(&node, &several)?;
    log(&other, &[single])?;
    same("the log", logged(stage)?, vec![several[0], several[1], single])
}

/// Whoever tells it, whenever, and whatever its age is by then.
fn a_letter_is_entered_once(stage: &Stage<'_>) -> Verdict {
    let (node, _) = keeping(stage)?;
    let other = stage.node()?;
    let (first, second) = (letter(stage, &node), letter(stage, &node));
    log(&node, &[first, first, second])?;
    stage.advance(LEASE);
    let older = Letter { age: LEASE, ..first };
    log(&node, &[older])?;
    log(&other, &[second, older])?;
    same("the log", logged(stage)?, vec![first, second])
}

/// In the record, the table, the token or the kind alone; tables that give the same token, too.
fn letters_that_differ_are_all_entered(stage: &Stage<'_>) -> Verdict {
    let (node, most) = keeping(stage)?;
    let one = letter(stage, &node);
    let all = [
        one,
        Letter { key: stage.key(), ..one },
        Letter { table: TableId(one.table.0 ^ 1), ..one },
        Letter { fence: one.fence + 1, ..one },
        Letter { reason: LetterReason::Conflict, ..one },
    ];
    ensure(most >= all.len(), || format!("the rig keeps {most}: too few"))?;
    log(&node, &all)?;
    same("the log", logged(stage)?, all.to_vec())
}

/// As many as it says; what is still there is known.
fn the_log_keeps_the_last_letters(stage: &Stage<'_>) -> Verdict {
    let (node, most) = keeping(stage)?;
    let all: Vec<Letter> = (0..most + 3).map(|_| letter(stage, &node)).collect();
    log(&node, &all[..most + 2])?;
    log(&node, &all[most + 2..])?;
    let last = all[3..].to_vec();
    same("the log", logged(stage)?, last.clone())?;
    // One by one: each would push out the next, and in the end all would be there again.
    for one in &last {
        log(&node, &[*one])?;
        same("the log, told again", logged(stage)?, last.clone())?;
    }
    Ok(())
}

/// It is no longer known, and takes the place of the oldest.
fn a_letter_that_has_gone_may_be_entered_again(stage: &Stage<'_>) -> Verdict {
    let (node, most) = keeping(stage)?;
    let all: Vec<Letter> = (0..=most).map(|_| letter(stage, &node)).collect();
    log(&node, &all)?;
    log(&node, &all[..1])?;
    let last: Vec<Letter> = all[2..].iter().chain(&all[..1]).copied().collect();
    same("the log", logged(stage)?, last)
}

/// Each is there once in the end.
fn letters_are_asked_again(stage: &Stage<'_>) -> Verdict {
    let (node, _) = keeping(stage)?;
    let mut all = Vec::new();
    for trouble in [Trouble::Refuse, Trouble::LoseReply] {
        let some = [letter(stage, &node), letter(stage, &node)];
        again(stage, trouble, || {
            node.tier.log_letters(&some, WITHIN).into_iter().collect::<Result<Vec<()>, _>>()
        })?;
        all.extend(some);
    }
    // What was refused at first may come behind what was not.
    let (mut found, order) = (logged(stage)?, |letter: &Letter| letter.identity());
    found.sort_by_key(order);
    all.sort_by_key(order);
    same("the log", found, all)
}

/// A store that was emptied takes letters before anybody has joined it again.
fn a_log_needs_no_session(stage: &Stage<'_>) -> Verdict {
    let (node, _) = keeping(stage)?;
    let (before, after) = (letter(stage, &node), letter(stage, &node));
    log(&node, &[before])?;
    stage.trouble(Trouble::Empty)?;
    same("the emptied log", logged(stage)?, vec![])?;
    log(&node, &[after, before])?;
    same("the log", logged(stage)?, vec![after, before])
}

/// A node of a tier with a log, and how many letters that keeps.
fn keeping(stage: &Stage<'_>) -> Result<(Node, usize), Stop> {
    let node = stage.node()?;
    let most = stage.rig().most_letters();
    if most == 0 || !node.tier.keeps_letters() {
        return Err(Stop::Cannot("a log of dead letters".to_owned()));
    }
    Ok((node, most))
}

/// One that is like no other.
fn letter(stage: &Stage<'_>, node: &Node) -> Letter {
    let small = |bits: u32| (stage.draw() >> (u64::BITS - bits)) as u32;
    let reasons = [Buried::Attempts, Buried::Deadline, Buried::Budget, Buried::FinalError];
    let reason = LetterReason::Buried(reasons[small(2) as usize]);
    Letter {
        key: stage.key(),
        table: node.table,
        // Above 2^53, where not every number is exact.
        fence: 1 << 62 | stage.draw() >> 2,
        attempts: small(31),
        reason,
        id: Some(LetterId::from_parts(small(20), small(20))),
        age: Duration::from_millis(small(30).into()),
    }
}

fn log(node: &Node, letters: &[Letter]) -> Verdict {
    let answers = node.tier.log_letters(letters, WITHIN);
    same("answers", answers.len(), letters.len())?;
    answers.into_iter().try_for_each(|answer| must(answer, "a letter"))
}

fn logged(stage: &Stage<'_>) -> Result<Vec<Letter>, Stop> {
    match stage.rig().letters() {
        Some(letters) => Ok(letters),
        None => fail("the rig cannot read the log"),
    }
}
