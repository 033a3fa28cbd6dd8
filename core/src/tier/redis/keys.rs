//! The names that the tier uses in the store.
//!
//! ```text
//! <prefix>{xy}             guard of bucket xy: its random epoch, and the highest token given out
//! <prefix>{xy}:<54 digits> a record; xy and these are its key in hexadecimal
//! <prefix>{xy}s            records of the bucket that wait for a scheduler, by due time
//! <prefix>{xy}t:<table>    a table is there; xy is the first byte of its number
//! <prefix>{dd}letters      the log of dead letters, a stream
//! <prefix>{dd}letters:known what it has, by the order of entry
//! <prefix>w:<table>        channel: records have changed that this table watches
//! <prefix>w:all            channel: records have changed that more tables watch
//! ```
//!
//! What belongs to a bucket has the same hash tag, so that a Cluster keeps it on one node.

use crate::tier::{TableId, TierKey};

/// How many buckets there are: one for each first byte of a key.
pub(super) const BUCKETS: usize = 256;
/// The bucket of the log of dead letters.
const LETTERS: u8 = 0xdd;

pub(super) fn bucket(key: TierKey) -> u8 {
    let [first, ..] = key.to_bytes();
    first
}

pub(super) fn guard(prefix: &str, bucket: u8) -> Vec<u8> {
    tagged(prefix, bucket, "", &[])
}

pub(super) fn record(prefix: &str, key: TierKey) -> Vec<u8> {
    let [first, rest @ ..] = key.to_bytes();
    tagged(prefix, first, ":", &rest)
}

pub(super) fn schedule(prefix: &str, bucket: u8) -> Vec<u8> {
    tagged(prefix, bucket, "s", &[])
}

pub(super) fn table(prefix: &str, table: TableId) -> (u8, Vec<u8>) {
    let bytes = table.0.to_be_bytes();
    let [first, ..] = bytes;
    (first, tagged(prefix, first, "t:", &bytes))
}

/// The log of dead letters, and what it has; both in one bucket, which is the same for all.
pub(super) fn letters(prefix: &str) -> (u8, [Vec<u8>; 2]) {
    let name = |kind| tagged(prefix, LETTERS, kind, &[]);
    (LETTERS, [name("letters"), name("letters:known")])
}

/// What the names of channels begin with.
pub(super) fn channels(prefix: &str) -> Vec<u8> {
    format!("{prefix}w:").into_bytes()
}

fn tagged(prefix: &str, bucket: u8, kind: &str, rest: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(prefix.len() + 4 + kind.len() + 2 * rest.len());
    name.extend_from_slice(prefix.as_bytes());
    name.push(b'{');
    push_hex(&mut name, &[bucket]);
    name.push(b'}');
    name.extend_from_slice(kind.as_bytes());
    push_hex(&mut name, rest);
    name
}

pub(super) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// The hash slot of a bucket in a Cluster: that of its tag.
pub(super) fn slot(bucket: u8) -> u16 {
    let mut tag = Vec::with_capacity(2);
    push_hex(&mut tag, &[bucket]);
    crc16(&tag) % 16_384
}

/// CRC-16/XMODEM, which a Cluster spreads keys by.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{TableId, TierKey, crc16, guard, letters, record, schedule, slot, table};

    /// Goal: the names are those of the documentation, and what belongs to a bucket has one tag.
    /// Method: a key of known bytes.
    #[test]
    fn names_are_as_documented() {
        let key = TierKey::from_bytes([0xa5; TierKey::BYTES]);
        assert_eq!(guard("p:", 0xa5), b"p:{a5}");
        assert_eq!(record("p:", key), [b"p:{a5}:".as_slice(), "a5".repeat(27).as_bytes()].concat());
        assert_eq!(schedule("p:", 0x0f), b"p:{0f}s");
        let (bucket, names) = letters("p:");
        assert_eq!((bucket, &names[0][..]), (0xdd, &b"p:{dd}letters"[..]));
        assert_eq!(names[1], b"p:{dd}letters:known");
        let (bucket, name) = table("p:", TableId(0x0102_0304 << 96));
        assert_eq!((bucket, name), (1, format!("p:{{01}}t:01020304{:0>24}", 0).into_bytes()));
    }

    /// Goal: slots are those of a Cluster. Method: the check value of the specification, and slots
    /// that a server computed (`CLUSTER KEYSLOT`).
    #[test]
    fn slots_are_those_of_a_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!((slot(0x00), slot(0xff), slot(0xa5)), (13_254, 11_756, 7_917));
    }
}
