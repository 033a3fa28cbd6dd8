//! Journals read back, and survive whatever bytes they are read from.

use proptest::prelude::*;

use super::*;

fn note() -> impl Strategy<Value = Note> {
    let words = (any::<u64>(), any::<u64>(), any::<u64>());
    (any::<u32>(), 0..3_u8, any::<u8>(), words, "[a-z]{0,32}").prop_map(
        |(attempt, end, process, (fencing, began_ms, ended_ms), class)| {
            let end = [End::Failed, End::Lapsed, End::Unnoted][usize::from(end)];
            Note { attempt, end, process, fencing, began_ms, ended_ms, class }
        },
    )
}

fn step() -> impl Strategy<Value = StepNote> {
    let result = proptest::collection::vec(any::<u8>(), 0..200);
    ("[a-z]{1,255}", result).prop_map(|(name, result)| StepNote { name, result })
}

fn journal() -> impl Strategy<Value = Journal> {
    let notes = proptest::collection::vec(note(), 0..=MAX_NOTES);
    let steps = proptest::collection::vec(step(), 0..=MAX_STEPS);
    let context = proptest::collection::vec(any::<u8>(), 0..500);
    let times = (any::<u64>(), any::<u64>(), any::<u64>());
    let counts = (any::<u32>(), any::<u32>(), any::<u32>());
    let words = (times, counts, any::<u64>(), any::<u8>());
    ("[a-z/ ]{0,255}", context, notes, steps, words).prop_map(
        |(operation, context, notes, steps, (times, counts, buried_ms, reason))| {
            let (before, cleaning, left_out) = counts;
            let (began_ms, delay_ms, window_ms) = times;
            Journal {
                operation,
                context,
                began_ms,
                delay_ms,
                window_ms,
                before,
                cleaning,
                notes,
                left_out,
                steps,
                buried_ms,
                reason,
            }
        },
    )
}

proptest! {
    /// Goal: nothing of a journal is lost. Method: arbitrary journals, up to the limits of each
    /// part, encoded and decoded; what they take beside context and steps is within its bound.
    #[test]
    fn journals_read_back(journal in journal()) {
        let bytes = journal.encode();
        prop_assert!(bytes.len() <= OVERHEAD + journal.steps_bytes() + journal.context.len());
        prop_assert_eq!(Journal::decode(&bytes), Some(journal));
    }

    /// Goal: a file that was damaged ends in no panic, and in no half of a journal. Method:
    /// arbitrary bytes; journals that were cut, made longer, or changed in one byte.
    #[test]
    fn any_bytes_are_taken(
        journal in journal(),
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<proptest::sample::Index>(),
    ) {
        let _ = Journal::decode(&noise);
        let mut bytes = journal.encode();
        let cut = at.index(bytes.len());
        prop_assert_eq!(Journal::decode(&bytes[..cut]), None);
        bytes[cut] ^= 0x55;
        let _ = Journal::decode(&bytes);
        bytes[cut] ^= 0x55;
        bytes.push(0);
        prop_assert_eq!(Journal::decode(&bytes), None);
    }
}

/// Goal: a history is bounded, and keeps how it began and how it ended. Method: notes of a hundred
/// attempts, one of them twice.
#[test]
fn first_and_last_notes_stay() {
    let mut journal = Journal::default();
    let note = |attempt: u32, class: &str| Note {
        attempt,
        end: End::Failed,
        process: 1,
        fencing: 7,
        began_ms: 1,
        ended_ms: 2,
        class: class.to_owned(),
    };
    (1..=100).for_each(|attempt| journal.note(note(attempt, "first")));
    journal.note(note(100, "second"));
    let attempts: Vec<u32> = journal.notes.iter().map(|note| note.attempt).collect();
    assert_eq!(attempts, [1, 2, 95, 96, 97, 98, 99, 100]);
    assert_eq!(journal.left_out, 92);
    assert_eq!(journal.notes[7].class, "second");
    assert!(journal.has_note(96) && !journal.has_note(50));
}
