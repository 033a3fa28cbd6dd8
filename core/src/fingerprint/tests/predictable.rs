//! Predictable keys in the spellings of every day, and random keys as generators make them.

use super::*;

fn rules() -> KeyRules {
    KeyRules::any().refuse_predictable()
}

#[track_caller]
fn refused_as(class: &str, keys: &[&str]) {
    for key in keys {
        let error = rules().check(key.as_bytes()).expect_err(key);
        assert!(error.to_string().contains(class), "{key}: {error}");
    }
}

#[track_caller]
fn accepted(keys: &[&str]) {
    for key in keys {
        let outcome = rules().check(key.as_bytes());
        assert!(outcome.is_ok(), "{key}: {outcome:?}");
    }
}

/// Goal: a UUID is judged however it is written. Only the bare 36 characters were. Method: one
/// that is not random and one that is, in each spelling.
#[test]
fn uuids_in_every_spelling() {
    let spell = |uuid: &str| {
        let bare = uuid.replace('-', "");
        [
            uuid.to_owned(),
            uuid.to_uppercase(),
            format!("{{{uuid}}}"),
            format!("urn:uuid:{uuid}"),
            format!("URN:UUID:{bare}"),
            format!("{{{bare}}}"),
            format!("({bare})"),
            format!("order-{uuid}"),
            format!("{uuid}:7"),
        ]
    };
    let clock = spell("d9428888-122b-11e1-b85c-61cd3cbb3210");
    refused_as("UUID of version 1,", &clock.each_ref().map(String::as_str));
    let name = spell("2ed6657d-e927-568b-95e1-2665a8aea6a2");
    refused_as("UUID of version 5,", &name.each_ref().map(String::as_str));
    for uuid in [UUID_V4, UUID_V7] {
        accepted(&spell(uuid).each_ref().map(String::as_str));
    }
    // A random one beside another is enough, and text that runs into it makes it none.
    accepted(&[
        &format!("2ed6657d-e927-568b-95e1-2665a8aea6a2:{UUID_V4}"),
        &format!("{UUID_V4}:2ed6657d-e927-568b-95e1-2665a8aea6a2"),
        "x2ed6657d-e927-568b-95e1-2665a8aea6a2",
        "8e03978e40d543ddbc936894a57f9324",
        "01934620522071998440515680437934",
    ]);
}

/// Goal: a counter in the coat of a UUID is a counter. Five different digits were enough. Method:
/// counters of all sizes in versions 4 and 7, in every spelling.
#[test]
fn counters_in_the_coat_of_a_uuid() {
    let coats =
        ["00000000-0000-4000-8000-", "01936f2e-7c00-7000-8000-", "ffffffff-ffff-4fff-bfff-"];
    for coat in coats {
        for counter in ["000000001042", "000000012345", "000001234567", "ffffffffe042"] {
            let uuid = format!("{coat}{counter}");
            let bare = format!("{{{}}}", uuid.replace('-', ""));
            let urn = format!("urn:uuid:{uuid}");
            refused_as("", &[&uuid, &uuid.to_uppercase(), &bare, &urn, &format!("order/{uuid}")]);
        }
    }
    refused_as("", &["00000000-0000-4000-8000-001764028800"]);
    refused_as("filled up with one digit", &["01936f2e7c0070008000000000001042"]);
}

/// Goal: words and numbers are found at the borders that people write. Only a few separators
/// were borders, and a letter beyond ASCII made a key count as random. Method: such keys.
#[test]
fn words_and_numbers_in_everyday_spellings() {
    refused_as(
        "words and numbers",
        &[
            "payment0000001042",
            "invoice2026000001042",
            "order1764028800000",
            "1764028800000order",
            "order#1042#20261123",
            "0x0000000000001042",
            "order_20261123T100000Z_1042",
            "POST:/charges:1042:acme42",
            "user1042@example.com",
            "jane.doe+order42@example.co.uk",
            "2026-11-23T10:00:00.000+01:00[Europe/Berlin]",
            "Mon, 23 Nov 2026 10:00:00 GMT",
            "Monday, 23-Nov-26 10:00:00 GMT",
            "Mon Nov 23 10:00:00 2026",
            "23. November 2026, 10:00",
            "заказ-1042",
            "größe-1042",
            "ЗАКАЗ 20261123 1042",
            "заказ0000001042",
            "注文-1042-2026-11-23",
            "commande n° 1042 du 23/11/2026",
            "order\u{1}1042x",
            "order\u{661}\u{660}\u{664}\u{662}",
        ],
    );
    // Characters count once, however many bytes they take.
    refused_as("at most", &["ΩяЖжЪё9q", "日9本x語4学校"]);
}

/// Goal: each rule ends where it says, so that it takes no random key along. Method: a key at the
/// edge of a rule, and one just beyond it.
#[test]
fn rules_end_where_they_say() {
    // A number and a word: eight digits make a counter or a date of it.
    refused_as("words and numbers", &["10427731invoice", "user10427731paid"]);
    accepted(&["1042773invoice", "user1042773paid"]);
    // Hex digits fall into one number and one word too often.
    accepted(&["8203914706fcadbe"]);
    // Short sections between unusual characters are random ones that fell apart.
    accepted(&["a!b@c#d$e%f^g&h"]);
    // Three neighbours in four are a sequence.
    refused_as("a sequence of neighbours", &["abcdefghijklmx7Kq"]);
    accepted(&["abcdefghijklx7KqZ"]);
    // Only what occurs counts as drawn from.
    refused_as("at most 62 bits", &["X7KQ2ZR9WB4M"]);
    accepted(&["X7KQ2ZR9WB4MV"]);
}

/// Goal: keys as generators make them pass. Method: the formats in use, by example.
#[test]
fn formats_of_random_keys_are_accepted() {
    accepted(&[UUID_V4, UUID_V7, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "V1StGXR8_Z5jdHi6B-myT"]);
    accepted(&[
        "pay_3f9aK2mQ8xZrT1vB",
        "order-1042-3f9ac27d10b84e6599d0",
        "clh3q6v5k0000qz8r7f2m4x1n",
        "aGVsbG8gd29ybGQhIQ==",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "qzjxkvbwpfmgyhtc",
        "k7#mQ!x2@Lp9$Rw&",
    ]);
}

/// Goal: no random key is refused by accident. Method: many keys of each format from a fixed
/// seed, bare and with a prefix.
#[test]
fn random_keys_are_accepted() {
    let seed = 0x6f6e_6365;
    let mut random = SplitMix(seed);
    for round in 0..4_000 {
        for (format, key) in formats(&mut random) {
            let outcome = rules().check(&key);
            assert!(outcome.is_ok(), "seed {seed}, round {round}, {format}: {key:?} {outcome:?}");
            let prefixed = [b"order-", &key[..]].concat();
            let outcome = rules().check(&prefixed);
            assert!(outcome.is_ok(), "seed {seed}, round {round}, {format}: {key:?} {outcome:?}");
        }
    }
}

/// A key of each format, by name.
fn formats(random: &mut SplitMix) -> [(&'static str, Vec<u8>); 12] {
    let bytes: [u8; 16] = std::array::from_fn(|_| random.next() as u8);
    // Milliseconds of this century's first half, for the formats that begin with them.
    let millis = 1_500_000_000_000 + random.next() % 1_000_000_000_000;
    let mut timed = bytes;
    timed[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    let stamp = (0..10).rev().map(|place| CROCKFORD[(millis >> (5 * place) & 31) as usize]);
    let ulid = [stamp.collect(), pick(random, CROCKFORD, 16)].concat();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        ("v4", uuid(&bytes, b'4').into_bytes()),
        ("v4 without hyphens", uuid(&bytes, b'4').replace('-', "").into_bytes()),
        ("v7", uuid(&timed, b'7').into_bytes()),
        ("v7 without hyphens", uuid(&timed, b'7').replace('-', "").into_bytes()),
        ("nanoid", pick(random, BASE64URL, 21)),
        ("base64url", base64(&bytes, BASE64URL)),
        ("base64", [base64(&bytes, BASE64), b"==".to_vec()].concat()),
        ("hex", hex.to_uppercase().into_bytes()),
        ("raw bytes", bytes.to_vec()),
        ("ULID", ulid),
        ("base36", pick(random, &BASE64[26..62], 25)),
        ("base62", pick(random, &BASE64[..62], 22)),
    ]
}

fn uuid(bytes: &[u8; 16], version: u8) -> String {
    let mut bytes = *bytes;
    bytes[6] = bytes[6] & 0xf | (version - b'0') << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

fn pick(random: &mut SplitMix, set: &[u8], count: usize) -> Vec<u8> {
    (0..count).map(|_| set[random.next() as usize % set.len()]).collect()
}

/// 22 characters: 6 bits each, and 2 in the last.
fn base64(bytes: &[u8; 16], set: &[u8]) -> Vec<u8> {
    let all = u128::from_be_bytes(*bytes);
    let first = (0..21).map(|place| all >> (122 - 6 * place) & 63);
    first.chain([all << 4 & 63]).map(|index| set[index as usize]).collect()
}

/// A small generator for tests: the same keys from the same seed on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

const UUID_V4: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";
const UUID_V7: &str = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
