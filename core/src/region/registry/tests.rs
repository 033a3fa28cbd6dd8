//! The registry, one step after the other: several processes are several regions on one file.

use super::*;
use crate::reach::FileAccess;
use crate::region::{Geometry, Identity, file};

/// A file of its own, gone with this value.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: numbers only have to differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("oncegate-registry-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// One more process, of at most `processes`.
    fn open(&self, processes: usize) -> Region {
        let geometry = Geometry::new(2, 0, 1, 1, 8, processes, 0).expect("small");
        let identity =
            Identity { geometry, options: [0; crate::region::header::SHARED_OPTIONS.len()] };
        let access = FileAccess::owner_only();
        let place = file::Place::new(&self.0, &access).expect("a path");
        let made = Region::at(&place, &identity, false, |region| {
            for (at, word) in identity.words().into_iter().enumerate() {
                // Relaxed: one thread.
                region.header(at).store(word, Ordering::Relaxed);
            }
            Ok(())
        });
        made.expect("a region").0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn joined(region: &Region) -> (u8, bool) {
    let Joined { index, used } = region.join(5).expect("an entry");
    assert_eq!(region.me(), index, "a newcomer is somebody at once");
    (index, used)
}

/// Goal: fresh entries are taken first, then those of the dead, and none of the living. Method:
/// three entries; processes that come, leave and are dropped.
#[test]
fn entries_are_taken_in_order() {
    let place = Place::new();
    let [a, b, c, d] = [(); 4].map(|()| place.open(3));
    assert_eq!((joined(&a), joined(&b)), ((1, false), (2, false)));
    drop(b);
    assert!(a.is_dead(2) && !a.is_dead(1));
    assert_eq!((joined(&c), joined(&d)), ((3, false), (2, true)));
    assert!(!a.is_dead(2) && !a.is_dead(3));
    let full = place.open(3).join(5).expect_err("three are alive");
    assert_eq!(full.code(), ErrorCode::RegistryFull);
    d.leave();
    assert!(c.is_alive_now(1) && !c.is_alive_now(2));
    assert_eq!(a.bury(|dead| assert_eq!(dead, 2)).expect("own"), 1);
    assert_eq!(a.bury(|dead| panic!("{dead} is buried")).expect("own"), 0);
    let e = place.open(3);
    assert_eq!(joined(&e), (2, false), "nothing is left of it");
}

/// Goal: an entry is not given away while somebody is between the question and the act, and
/// another one is. Method: a recovery that is under way in a live process, of this entry and of
/// another, and in one that is dead; and an entry that nobody ever had.
#[test]
fn an_entry_waits_for_recoveries() {
    let place = Place::new();
    let [a, b, c, d] = [(); 4].map(|()| place.open(3));
    let _ = (joined(&a), joined(&b));
    assert_eq!(a.recover(3, || joined(&c)), Some((3, false)), "nobody ever had it");
    drop(c);
    assert_eq!(a.recover(34, || joined(&d)), Some((3, true)), "nobody recovers this one");
    drop(d);
    let newcomer = place.open(3);
    let tried = a.recover(3, || newcomer.join(5).map_err(|error| error.code()));
    assert_eq!(tried, Some(Err(ErrorCode::RegistryFull)));
    assert_eq!(a.recover(2, || ()), None, "it is alive");
    // Relaxed: one thread.
    b.process(2)[RECOVERING].store(1 | recovery::recovers(3), Ordering::Relaxed);
    assert!(newcomer.join(5).is_err());
    drop(b);
    assert!(matches!(joined(&newcomer), (2 | 3, true)), "the dead recover nothing");
}

/// Goal: a newcomer is told within a second, whatever live processes say that they recover (it had
/// a hundred looks at each entry, a thousand times). Method: words that say so of all entries, with
/// a possible number of recoveries and an impossible one; a clock that goes on by a quarter of a
/// second with each look. Then the process dies, and what it said with it.
#[test]
fn recoveries_that_never_end_are_told() {
    let place = Place::new();
    let a = place.open(255);
    let _ = joined(&a);
    // Relaxed, here and below: one thread.
    a.header(header::PROCESSES_USED).store(255, Ordering::Relaxed);
    let newcomer = place.open(255);
    let all = !RECOVERIES;
    for (word, told) in [
        (all | 1, ErrorCode::RegistryFull),
        (all, ErrorCode::RegionInvalid),
        (u64::MAX, ErrorCode::RegionInvalid),
    ] {
        for index in 1..=255 {
            a.process(index)[RECOVERING].store(word, Ordering::Relaxed);
        }
        let looks = AtomicU64::new(0);
        let clock = || PATIENCE_NS / 4 * looks.fetch_add(1, Ordering::Relaxed);
        let tried = newcomer.join_in_time(5, clock).map_err(|error| error.code());
        assert_eq!(tried, Err(told), "{word:x}");
        assert_eq!(looks.load(Ordering::Relaxed), 5, "{word:x}");
    }
    drop(a);
    assert_eq!(joined(&newcomer).0, 2, "the first that nobody ever had");
}

/// What a newcomer finds at this moment.
fn look(region: &Region) -> Tried {
    let host = region.member.host.as_ref().expect("shared");
    region.try_join(host, 5).expect("own")
}

/// Goal: a newcomer waits for a burial, and gets its entry. Method: the only dead one's, looked for
/// when its burial has locked it and done nothing else, and in the middle of it; where all are
/// alive nobody waits. (A burial was marked in the entry after it was locked: a newcomer who came
/// in between, as when the process that buried was not let run, was told that all were alive.)
#[test]
fn a_newcomer_waits_for_a_burial() {
    let place = Place::new();
    let [a, b, c] = [(); 3].map(|()| place.open(2));
    let _ = (joined(&a), joined(&b));
    assert!(matches!(look(&c), Tried::Full));
    assert!(a.begin_burial(2).expect("own").is_none(), "it is alive");
    drop(b);
    let burial = a.begin_burial(2).expect("own").expect("it is dead");
    assert!(matches!(look(&c), Tried::Busy), "locked, and nothing more");
    drop(burial);
    let buried = a.bury(|_| assert!(matches!(look(&c), Tried::Busy)));
    assert_eq!(buried.expect("own"), 1);
    assert_eq!(joined(&c), (2, false), "nothing is left of it");
    let d = place.open(2);
    assert!(matches!(look(&d), Tried::Full), "no burial is under way any more");
}

/// Goal: a newcomer does not take a lock for that of a living process that is gone when it looks
/// again, nor one while a live process says that it recovers what the entry's last one left, and
/// does where that process has died. Method: the question itself, in each case.
#[test]
fn locks_for_a_moment_are_told_apart() {
    let place = Place::new();
    let [a, b, c] = [(); 3].map(|()| place.open(3));
    let _ = (joined(&a), joined(&b));
    let host = c.member.host.as_ref().expect("shared");
    let is_its_own = |index| c.is_its_own(host.file.as_fd(), index).expect("own");
    assert!(is_its_own(1) && is_its_own(2));
    assert!(!is_its_own(3), "nobody has its lock");
    // Relaxed, both: one thread.
    b.process(2)[RECOVERING].store(1 | recovery::recovers(1), Ordering::Relaxed);
    assert!(!is_its_own(1) && is_its_own(2), "one who is alive says so");
    drop(b);
    assert!(is_its_own(1), "one who is dead says so");
}

/// Goal: a child that is forked in the middle of a burial has no part in its lock, which would stay
/// with the child if this process were killed. Method: no descriptor of the file is open in the
/// middle of one that was not before; the page that holds the lock is not inherited.
#[test]
fn no_descriptor_holds_the_lock_of_a_burial() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new();
    let [a, b] = [(); 2].map(|()| place.open(3));
    let _ = (joined(&a), joined(&b));
    drop(b);
    let inode = std::fs::metadata(&place.0).expect("own file").ino();
    let descriptors = || {
        let all = std::fs::read_dir("/proc/self/fd").expect("/proc").flatten();
        let of = |path: PathBuf| std::fs::metadata(path).is_ok_and(|of| of.ino() == inode);
        all.filter(|entry| of(entry.path())).count()
    };
    let before = descriptors();
    let buried = a.bury(|_| assert_eq!(descriptors(), before));
    assert_eq!(buried.expect("own"), 1);
    assert_eq!(joined(&place.open(3)).0, 2, "its lock is free");
}

/// Goal: what two processes may not do at once, they do not, and no longer than it takes. Method:
/// one within the other, and afterwards.
#[test]
fn one_at_a_time() {
    let place = Place::new();
    let [a, b] = [(); 2].map(|()| place.open(3));
    let [upkeep, quotas] = [Exclusive::Upkeep, Exclusive::Quotas];
    let inner = a.exclusively(upkeep, || b.exclusively(upkeep, || Ok(1)));
    assert_eq!(inner.map(|inner| inner.map(|other| other.is_none())), Ok(Some(true)));
    let inner = a.exclusively(upkeep, || b.exclusively(quotas, || Ok(1)));
    assert_eq!(inner, Ok(Some(Some(1))), "another kind of work");
    assert_eq!(b.exclusively(upkeep, || Ok(2)), Ok(Some(2)));
}

/// Goal: a region knows whether its path still leads to it. Method: the file is moved and brought
/// back, replaced and removed.
#[test]
fn a_region_knows_its_path() {
    let place = Place::new();
    let region = place.open(3);
    let aside = place.0.with_extension("aside");
    assert!(!region.is_removed());
    std::fs::rename(&place.0, &aside).expect("own file");
    assert!(region.is_removed());
    let other = place.open(3);
    assert!(region.is_removed() && !other.is_removed());
    std::fs::rename(&aside, &place.0).expect("own file");
    assert!(!region.is_removed() && other.is_removed());
}
