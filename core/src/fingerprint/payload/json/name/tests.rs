//! The order of names, and what it costs.

use proptest::prelude::*;

use super::*;
use crate::fingerprint::tests::seeded;

/// Goal: members that begin alike cost no more than a pass of plain comparison. They were ranked
/// byte by byte, and a document of such names took seconds. Method: count what is ranked.
#[test]
fn only_the_first_difference_is_ranked() {
    let ranked = std::cell::Cell::new(0);
    let rank = |byte: u8| {
        ranked.set(ranked.get() + 1);
        byte
    };
    for shared in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 10_000] {
        let name = |end: &str| format!("{}{end}", "x".repeat(shared)).into_bytes();
        for (a, b, order) in [
            ("", "", Ordering::Equal),
            ("", "a", Ordering::Less),
            ("b", "a", Ordering::Greater),
            ("b", "aaaa", Ordering::Greater),
        ] {
            assert_eq!(compare_ranked(&name(a), &name(b), rank), order, "{shared} {a} {b}");
            assert!(ranked.take() <= 2 * BLOCK, "{shared} {a} {b}");
        }
    }
}

proptest! {
    #![proptest_config(seeded(512))]

    /// Goal: names are in the order of UTF-16. Method: compare with the code units themselves,
    /// for names drawn from around the surrogates.
    #[test]
    fn names_are_in_the_order_of_utf_16(
        a in "[a\u{7f}\u{80}\u{7ff}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,4}",
        b in "[a\u{7f}\u{80}\u{7ff}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,4}",
    ) {
        prop_assert_eq!(compare_names(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
        let behind = |name: &str| "x".repeat(BLOCK - 2) + name;
        let (a, b) = (behind(&a), behind(&b));
        prop_assert_eq!(compare_names(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
    }
}
