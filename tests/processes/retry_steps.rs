//! A process is killed at every step of everything it does with a record that is retried.
//!
//! As in `steps`: each act is run again and again, and the process is killed before its first write
//! to the table, before its second, and so on. After each death others have to go on: the record is
//! handed out, finished, or a dead letter; attempts only grow, and none overlaps another; what is
//! needed to run it again is whole; and when all is done, every entry is free again.

use crate::crew::{Attempt, Folder, Worker};
use crate::retries::Next;

/// One thing that a process can do with the record `k`.
struct Scene {
    name: &'static str,
    options: &'static str,
    /// What happened before, said to the survivor (`<`), to the one who will die (`>`), or to one
    /// who is killed before that (`=`).
    before: &'static [&'static str],
    /// What it does when it is killed.
    act: &'static str,
    /// What may have become of the record when it is killed on the way.
    ends: &'static [End],
}

/// What others find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// `next` hands it out.
    Handed,
    /// Whoever begins gets it: no entry had been made.
    Free,
    /// It is a dead letter.
    Letter,
    /// It is finished, and no letter.
    Finished,
}

use End::{Finished, Free, Handed, Letter};

const MANY: &str = "capacity=64 lease=3600000 retrying=4 letters=2 retry=1x10";
const ONE: &str = "capacity=64 lease=3600000 retrying=4 letters=2 retry=1x1";
const TWO: &str = "capacity=64 lease=3600000 retrying=4 letters=2 retry=1x2";
const FEW_LETTERS: &str = "capacity=64 lease=3600000 retrying=4 letters=1 retry=1x1";

const SCENES: &[Scene] = &[
    Scene {
        name: "the first attempt is left to the engine",
        options: MANY,
        before: &["> begin k"],
        act: "later k",
        ends: &[Free, Handed],
    },
    Scene {
        name: "a later attempt is left to the engine",
        options: MANY,
        before: &["< begin k", "< later k", "> next 60000"],
        act: "later k",
        ends: &[Handed],
    },
    Scene {
        name: "an attempt is taken",
        options: MANY,
        before: &["> begin k", "> later k", "> pass 3"],
        act: "next 0",
        ends: &[Handed],
    },
    Scene {
        name: "an attempt is waited for",
        options: MANY,
        before: &["< begin k", "< later k"],
        act: "next 60000",
        ends: &[Handed],
    },
    Scene {
        name: "a duplicate runs what is due",
        options: MANY,
        before: &["< begin k", "< later k", "< pass 3"],
        act: "begin k run-due",
        ends: &[Handed],
    },
    Scene {
        name: "an attempt of a dead process is seen to",
        options: MANY,
        before: &["= begin k", "= later k", "= next 60000"],
        act: "next 0",
        ends: &[Handed],
    },
    Scene {
        name: "an attempt of a dead process is buried",
        options: MANY,
        before: &["= begin k", "= later k", "= next 60000"],
        act: "bury",
        ends: &[Handed],
    },
    Scene {
        name: "a duplicate meets an attempt of a dead process",
        options: MANY,
        before: &["= begin k", "= later k", "= next 60000"],
        act: "begin k",
        ends: &[Handed],
    },
    Scene {
        name: "the only attempt fails for good",
        options: ONE,
        before: &["> begin k"],
        act: "later k",
        ends: &[Free, Letter],
    },
    Scene {
        name: "the last of two attempts fails for good",
        options: TWO,
        before: &["> begin k", "> later k", "> next 60000"],
        act: "later k",
        ends: &[Letter],
    },
    Scene {
        name: "the last attempt of a dead process is given up",
        options: TWO,
        before: &["= begin k", "= later k", "= next 60000"],
        act: "advance",
        ends: &[Letter],
    },
    Scene {
        name: "a letter takes the place of another",
        options: FEW_LETTERS,
        before: &["< begin j", "< later j", "> begin k"],
        act: "later k",
        ends: &[Free, Letter],
    },
    Scene {
        name: "a letter is redriven",
        options: ONE,
        before: &["< begin k", "< later k"],
        act: "redrive",
        ends: &[Letter, Handed],
    },
    Scene {
        name: "a letter is discarded",
        options: ONE,
        before: &["< begin k", "< later k"],
        act: "discard",
        ends: &[Letter, Finished],
    },
    Scene {
        name: "a retried record is completed",
        options: MANY,
        before: &["> begin k", "> later k", "> next 60000"],
        act: "complete k done",
        ends: &[Handed, Finished],
    },
    Scene {
        name: "a retried attempt is given back",
        options: MANY,
        before: &["< begin k", "< later k", "> next 60000"],
        act: "fail k",
        ends: &[Handed],
    },
];

/// The number and the token in an answer that has one.
fn attempt_in(answer: &str) -> Option<(u32, u64)> {
    let begun = Attempt::parse(answer).map(|attempt| (attempt.number, attempt.fence));
    begun.or_else(|| Next::parse(answer).map(|next| (next.number, next.fence)))
}

/// Kills whoever plays `scene` before its `writes`-th write, and looks at what it left. None: it
/// came to its end alive.
fn die(scene: &Scene, writes: u64) -> Option<End> {
    let folder = Folder::new();
    let mut survivor = Worker::of(&folder, scene.options);
    let mut victim = Worker::of(&folder, scene.options);
    let mut third = Worker::of(&folder, scene.options);
    let mut last = (0, 0);
    for line in scene.before {
        let (who, line) = line.split_at(2);
        let worker = match who {
            "< " => &mut survivor,
            "> " => &mut victim,
            _ => &mut third,
        };
        let answer = worker.ask(line);
        assert!(!answer.starts_with("error"), "{}: {line}: {answer}", scene.name);
        last = attempt_in(&answer).unwrap_or(last);
    }
    third.kill();
    if scene.before.iter().all(|line| !line.starts_with('=')) {
        // It has seen all that there is: what the dead one changes and does not tell is news.
        assert!(survivor.ask("advance").starts_with("ready"));
    }
    assert_eq!(victim.ask(&format!("doom {writes}")), "doomed");
    let said = victim.ask(scene.act);
    let died = said.is_empty();
    let about = format!("{}, before write {writes}", scene.name);
    if died {
        assert_eq!(victim.ended(), Some(libc::SIGKILL), "{about}");
    } else {
        assert!(!said.starts_with("error"), "{about}: {said}");
        assert_eq!(victim.ask("doom 0"), "doomed", "{about}");
        victim.kill();
    }
    let mut late = Worker::of(&folder, scene.options);
    let how = [Look::Waits, Look::Buries, Look::Polls][writes as usize % 3];
    let found = found(&mut survivor, how, last, &about);
    assert!(scene.ends.contains(&found), "{about}: {found:?}");
    run_to_its_end(&mut survivor, &mut late, found, last, &about);
    all_is_free(&mut late, &about);
    died.then_some(found)
}

/// How others look for attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// A thread waits for one.
    Waits,
    /// Somebody buries the dead, and asks now and then.
    Buries,
    /// Somebody asks now and then.
    Polls,
}

impl Look {
    fn next(self, worker: &mut Worker, about: &str, ms: u32) -> String {
        if self == Look::Waits {
            return worker.ask(&format!("next {ms}"));
        }
        if self == Look::Buries {
            assert!(worker.ask("bury").starts_with("buried"), "{about}");
        }
        for _ in 0..ms {
            let answer = worker.ask("next 0");
            if answer != "none" {
                return answer;
            }
            worker.ask("pass 1");
        }
        "none".to_owned()
    }
}

/// What has become of the record.
fn found(survivor: &mut Worker, how: Look, last: (u32, u64), about: &str) -> End {
    let mut answer = how.next(survivor, about, 100);
    if answer == "none" {
        if survivor.ask("letters").contains("k/") {
            return Letter;
        }
        let begun = survivor.ask("begin k");
        if let Some(attempt) = Attempt::parse(&begun) {
            assert!(attempt.number > last.0 && attempt.fence > last.1, "{about}: {begun}");
            return Free;
        }
        if begun.starts_with("replayed") {
            // Whoever met it may have carried out what the dead one had decided.
            if survivor.ask("letters").contains("k/") {
                return Letter;
            }
            // A letter that the dead one was about to redrive answers as before until then.
            answer = how.next(survivor, about, 1_500);
            if answer == "none" {
                return Finished;
            }
        } else {
            // This machine may be slow, and nobody tells who only polls that another one has died.
            assert!(begun.starts_with("scheduled"), "{about}: {begun}");
            answer = how.next(survivor, about, 60_000);
        }
    }
    let next = Next::parse(&answer).unwrap_or_else(|| panic!("{about}: nobody gets it: {answer}"));
    assert!(next.number > last.0 && next.fence > last.1, "{about}: {answer} after {last:?}");
    assert_eq!(next.key, "k", "{about}");
    Handed
}

/// Whatever became of it, it runs to its end, one attempt at a time.
fn run_to_its_end(
    survivor: &mut Worker,
    late: &mut Worker,
    found: End,
    last: (u32, u64),
    about: &str,
) {
    if found == Letter {
        let letters = survivor.ask("letters");
        assert!(letters.contains("k/all-that-it-needs"), "{about}: {letters}");
        assert_eq!(survivor.ask("redrive"), "redriven 1", "{about}");
        let next = Next::parse(&survivor.ask("next 60000")).expect("redriven");
        assert!(next.number > last.0 && next.fence > last.1, "{about}: {next:?}");
    }
    if found != Finished {
        assert_eq!(late.ask("next 0"), "none", "{about}: two attempts at once");
        assert!(late.ask("begin k").starts_with("in-progress"), "{about}: two attempts at once");
        assert_eq!(survivor.ask("complete k again"), "stored", "{about}");
    }
    assert!(late.ask("begin k").starts_with("replayed"), "{about}");
    assert_eq!(late.ask("next 0"), "none", "{about}: it is over");
}

/// All that the dead have left is gone, and as many records can be retried as ever.
fn all_is_free(worker: &mut Worker, about: &str) {
    while worker.ask("discard") == "discarded 1" {}
    for tidied in ["bury", "sweep", "advance"] {
        let answer = worker.ask(tidied);
        assert!(!answer.is_empty() && !answer.starts_with("error"), "{about}: {answer}");
    }
    assert_eq!(worker.ask("free-entries"), "free 4", "{about}: an entry is lost");
}

/// Goal: whoever is killed at any step of leaving an attempt to the engine, taking it, seeing to
/// its lapse, burying, redriving, discarding and ending it: the others go on, no attempt overlaps
/// another, no context is lost, and no entry leaks (I5, I8). Method: see the module.
#[test]
fn killed_before_every_write_of_a_retry() {
    let wanted = std::env::var("SCENE").unwrap_or_default();
    let mut deaths = 0_u64;
    for scene in SCENES.iter().filter(|scene| scene.name.contains(&wanted)) {
        let mut ends = Vec::new();
        for writes in 1.. {
            let Some(end) = die(scene, writes) else {
                println!("{:3} writes: {}", writes - 1, scene.name);
                assert!(writes > 1, "{} writes nothing", scene.name);
                break;
            };
            if !ends.contains(&end) {
                ends.push(end);
            }
            deaths += 1;
        }
        // From the write on that decides how it ends, that is how it ends.
        assert_eq!(ends, scene.ends, "{}", scene.name);
    }
    println!("processes: {deaths} killed, each before another write of a retry");
}
