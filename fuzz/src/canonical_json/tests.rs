//! The second implementation against the vectors of RFC 8785: agreement with it means something.

use super::tree::read;
use super::write::{agrees_with_jcs, content, ecmascript};

fn canonical(document: &str) -> String {
    let whole = content(document.as_bytes(), &[], &[]).expect(document).whole.expect("no pointer");
    agrees_with_jcs(&whole);
    String::from_utf8(whole.text).expect("text")
}

/// Goal: numbers are written as ECMAScript does. Method: the table of appendix B, through the
/// layout and as documents; what is no number is refused.
#[test]
fn numbers_of_appendix_b() {
    for (bits, text) in NUMBERS {
        let number = f64::from_bits(bits);
        assert_eq!(ecmascript(number).as_deref(), Some(text), "{bits:x}");
        assert_eq!(canonical(&format!("{number:e}")), text, "{bits:x}");
        crate::canonical_json::run(format!("{number:e}").as_bytes());
    }
    assert_eq!(ecmascript(f64::from_bits(0x7fff_ffff_ffff_ffff)), None);
    assert_eq!(ecmascript(f64::from_bits(0x7ff0_0000_0000_0000)), None);
}

/// Goal: strings are escaped as section 3.2.2.2 says, and literals and numbers as 3.2.2 shows.
/// Method: the sample of section 3.2.2 and its canonical form in 3.2.3.
#[test]
fn sample_of_section_3_2_2() {
    let sample = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    assert_eq!(canonical(sample), expected);
    crate::canonical_json::run(sample.as_bytes());
}

/// Goal: members are in the order of their UTF-16 code units. Method: the names of section 3.2.3.
#[test]
fn names_of_section_3_2_3() {
    let sample = r#"{
        "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    let canonical = canonical(sample);
    let expected = ["Carriage Return", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
    let places = expected.map(|name| canonical.find(name).expect(name));
    assert!(places.is_sorted(), "{canonical}");
    crate::canonical_json::run(sample.as_bytes());
}

/// Goal: what RFC 7493 leaves open is refused by the second reader too. Method: one of each.
#[test]
fn undefined_documents_are_refused() {
    for document in [r#"{"a":1,"\u0061":1}"#, r#""\ud800""#, "[1,]", "01", "", "\u{feff}1", "1 1"] {
        assert!(read(document.as_bytes()).is_none(), "{document}");
    }
    assert!(content(b"1e309", &[], &[]).is_none() && content(b"1e-400", &[], &[]).is_some());
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(deep(128).as_bytes()).is_some() && read(deep(129).as_bytes()).is_none());
}

const NUMBERS: [(u64, &str); 24] = [
    (0x0000_0000_0000_0000, "0"),
    (0x8000_0000_0000_0000, "0"),
    (0x0000_0000_0000_0001, "5e-324"),
    (0x8000_0000_0000_0001, "-5e-324"),
    (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
    (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
    (0x4340_0000_0000_0000, "9007199254740992"),
    (0xc340_0000_0000_0000, "-9007199254740992"),
    (0x4430_0000_0000_0000, "295147905179352830000"),
    (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
    (0x44b5_2d02_c7e1_4af6, "1e+23"),
    (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
    (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
    (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
    (0x444b_1ae4_d6e2_ef50, "1e+21"),
    (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
    (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
    (0x41b3_de43_5555_5553, "333333333.3333332"),
    (0x41b3_de43_5555_5554, "333333333.33333325"),
    (0x41b3_de43_5555_5555, "333333333.3333333"),
    (0x41b3_de43_5555_5556, "333333333.3333334"),
    (0x41b3_de43_5555_5557, "333333333.33333343"),
    (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
    (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
];
