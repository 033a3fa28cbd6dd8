//! Files of regions, and whose turn it is to make one.

use super::*;

/// A folder of its own, gone with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("oncegate-turn-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    fn turn(&self, bytes: u64) -> Turn {
        Turn::beside(&self.0.join("table"), bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Goal: whoever can read the folder, and locks it, keeps nobody from making a table for longer
/// than making one takes (it was 20 seconds for the smallest). Method: a shared lock that stays,
/// and all the waiting for tables of several sizes; then the lock goes.
#[test]
fn a_turn_is_respected_for_a_while() {
    let folder = Folder::new();
    let reader = File::open(&folder.0).expect("own folder");
    rustix::fs::flock(&reader, FlockOperation::LockShared).expect("nobody else has it");
    for (bytes, most) in [(0, 1_000), (27 << 20, 1_300), (1 << 30, 10_000), (1 << 50, 20_000)] {
        let mut turn = folder.turn(bytes);
        let waits = (0..30_000).filter(|_| turn.is_anothers()).count();
        assert!((1_000..=most).contains(&waits), "{waits} for {bytes} bytes");
        assert!(!turn.is_anothers(), "it goes on without");
    }
    let (mut one, mut two) = (folder.turn(0), folder.turn(0));
    assert!(one.is_anothers());
    drop(reader);
    assert!(!one.is_anothers() && !one.is_anothers());
    assert!(two.is_anothers(), "it is the first one's");
    drop(one);
    assert!(!two.is_anothers());
}
