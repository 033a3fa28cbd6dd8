//! The canonical form against RFC 8785, an independent implementation, and what it must refuse.

use proptest::prelude::*;

use super::*;
use crate::fingerprint::tests::seeded;
use crate::{ErrorCode, Payload};

/// The bytes of RFC 8785 for a document.
fn canonical(document: &str) -> Result<String, Error> {
    let mut writer = Writer::default();
    writer.value(&read::read(document.as_bytes())?)?;
    Ok(String::from_utf8(writer.text).unwrap())
}

/// Everything that is hashed of a document.
fn absorbed(document: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    absorb(document.as_bytes(), &[], &[], &mut bytes).unwrap();
    bytes
}

fn refusal(document: &str) -> String {
    let error = canonical(document).expect_err(document);
    assert_eq!((error.code(), error.field()), (ErrorCode::InvalidPayload, "payload"));
    error.to_string()
}

/// Goal: the form is that of RFC 8785. Method: its examples, sections 3.2.2 and 3.2.3.
#[test]
fn examples_of_the_rfc() {
    let sample = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    assert_eq!(canonical(sample).unwrap(), expected);

    let sorting = r#"{
        "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    let expected = concat!(
        r#"{"\r":"Carriage Return","1":"One","#,
        "\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",",
        "\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",",
        "\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
    );
    assert_eq!(canonical(sorting).unwrap(), expected);
}

/// Goal: strings are escaped as RFC 8785, section 3.2.2.2, says. Method: every character below the
/// space, the two that need a backslash, and those around them.
#[test]
fn escapes_of_the_rfc() {
    for code in 0..0x80_u8 {
        let written = match code {
            0x08 => r"\b".to_owned(),
            0x09 => r"\t".to_owned(),
            0x0a => r"\n".to_owned(),
            0x0c => r"\f".to_owned(),
            0x0d => r"\r".to_owned(),
            b'"' => r#"\""#.to_owned(),
            b'\\' => r"\\".to_owned(),
            0..0x20 => format!("\\u{code:04x}"),
            _ => char::from(code).to_string(),
        };
        let document = format!("[\"a\\u{code:04X}b\"]");
        assert_eq!(canonical(&document).unwrap(), format!("[\"a{written}b\"]"));
    }
}

/// Goal: numbers are written as ECMAScript does. Method: the table of RFC 8785, appendix B.
#[test]
fn numbers_of_the_rfc() {
    for (bits, text) in [
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
    ] {
        let value = f64::from_bits(bits);
        assert_eq!(number::text_of(value).unwrap(), text);
        assert_eq!(canonical(&format!("{value:e}")).unwrap(), text, "{bits:x}");
    }
}

/// Goal: spelling does not matter. Method: spellings of one number, one string, one document.
#[test]
fn spellings_agree() {
    for spellings in [
        &["1", "1.0", "1e0", "10e-1", "0.1E+1", "1.000"][..],
        &["0", "-0", "0.0", "-0e5", "0e-9", "0e99999999999", "-0.00E-99999999999"],
        &["100000000000000000000", "1e20", "1E+20"],
        &["12345678901234567e3", "12345678901234567000"],
        &[r#""a/\u00e9😀""#, r#""\u0061\/é\uD83D\ude00""#],
        &[r#"{"a":1,"b":[]}"#, " {\t\"b\" :\r\n[ ] , \"\\u0061\":1.0} "],
    ] {
        for spelling in spellings {
            assert_eq!(absorbed(spellings[0]), absorbed(spelling), "{spelling}");
        }
    }
}

/// Goal: digits that a double cannot hold still count. Method: pairs that RFC 8785 writes alike
/// must be told apart, and a number that survives rounding adds nothing.
#[test]
fn rounding_never_makes_payloads_equal() {
    for (a, b) in [
        ("9007199254740992", "9007199254740993"),
        ("[-9007199254740993]", "[-9007199254740992]"),
        ("0.1", "0.1000000000000000055511151231257827"),
        ("333333333.33333329", "333333333.3333333"),
        ("0", "1e-400"),
        ("1e-400", "2e-400"),
        ("1e-400", "-1e-400"),
        (
            r#"{"a": 9007199254740993, "b": 9007199254740992}"#,
            r#"{"a": 9007199254740992, "b": 9007199254740993}"#,
        ),
    ] {
        assert_eq!(canonical(a).unwrap().replace('-', ""), canonical(b).unwrap().replace('-', ""));
        assert_ne!(absorbed(a), absorbed(b), "{a} {b}");
    }
    assert_eq!(absorbed("9007199254740993"), absorbed("9007199254740993.0"));
    assert_eq!(absorbed("9007199254740993"), absorbed("900719925474099300e-2"));
    for survives in ["0.1", "1e23", "9007199254740992", "1e-27", "123456789012345678e5"] {
        let text = canonical(survives).unwrap();
        let rounded = usize::from(survives.len() > 16 && survives.contains("5678e"));
        assert_eq!(absorbed(survives)[8 + text.len()], rounded as u8, "{survives}");
    }
}

/// Goal: what I-JSON leaves undefined is refused and named. Method: one of each.
#[test]
fn undefined_documents_are_refused() {
    for (document, class) in [
        (r#"{"a": 1, "a": 1}"#, "duplicate member name"),
        (r#"{"a": 1, "b": 2, "\u0061": 1}"#, "duplicate member name"),
        (r#"[{"x": {"": 1, "": 2}}]"#, "duplicate member name in the object at byte 7"),
        (r#""\ud800""#, "lone surrogate"),
        (r#""\udc00""#, "lone surrogate"),
        (r#""\ud83dx""#, "lone surrogate"),
        (r#""\ud83d\u0041""#, "lone surrogate"),
        (r#""\ud83d\ud83d\ude00""#, "lone surrogate"),
        (r#""\ud83d\ue000""#, "lone surrogate"),
        ("1e309", "range of a double"),
        ("-1e309", "range of a double"),
        ("1e99999999999", "exponent"),
        ("1e-99999999999", "exponent"),
        ("NaN", "no JSON value"),
        ("Infinity", "no JSON value"),
        ("\u{feff}1", "no JSON value"),
        ("\"a\nb\"", "control character"),
    ] {
        assert!(refusal(document).contains(class), "{document}: {}", refusal(document));
    }
    let error = read::read(b"[\"\xff\"]").unwrap_err();
    assert!(error.to_string().contains("not UTF-8 at byte 2"));
    let long = format!("1{}", "0".repeat(1024));
    assert!(refusal(&long).contains("1025 bytes"));
}

/// Goal: only JSON is JSON. Method: documents that lenient parsers take.
#[test]
fn malformed_documents_are_refused() {
    for document in [
        "",
        " ",
        "[",
        "]",
        "{",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "--1",
        "tru",
        "nul",
        "True",
        "\"",
        "\"\\",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"\\u+123\"",
        "1 1",
        "[] []",
        "/**/1",
        "[1]//",
        "{\"a\":1 \"b\":2}",
        "\u{a0}1",
        "\u{c}1",
    ] {
        refusal(document);
    }
}

/// Goal: nesting cannot exhaust the stack. Method: the limit, one more, and 100,000, the last
/// on a small stack.
#[test]
fn depth_is_limited() {
    let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(canonical(&nested(128)).is_ok());
    assert!(refusal(&nested(129)).contains("at most 128"));
    let objects = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
    assert!(canonical(&objects).is_ok());
    let hostile = move || {
        assert!(refusal(&"[".repeat(100_000)).contains("at most 128"));
        assert!(refusal(&"{\"a\":".repeat(100_000)).contains("at most 128"));
        assert!(canonical(&nested(128)).is_ok());
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(hostile).unwrap().join().unwrap();
}

/// Goal: the tree cannot outgrow memory. Method: the limit of values, and one more.
#[test]
fn values_are_limited() {
    let list = |count: usize| format!("[1{}]", ",1".repeat(count - 1));
    assert!(canonical(&list(Payload::MAX_JSON_VALUES - 1)).is_ok());
    assert!(refusal(&list(Payload::MAX_JSON_VALUES)).contains("1000000 JSON values"));
}

/// A document without duplicate names, as serde_json's tree.
fn documents() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let members = prop::collection::hash_map(".{0,6}", inner.clone(), 0..8);
        prop_oneof![
            prop::collection::vec(inner, 0..8).prop_map(Into::into),
            members.prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Writes a document in another way: members backwards, spaces, every character escaped.
fn respell(value: &serde_json::Value) -> String {
    let string = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match value {
        serde_json::Value::String(text) => string(text),
        serde_json::Value::Array(items) => {
            let items: Vec<_> = items.iter().map(respell).collect();
            format!("[ {}\n]", items.join(" ,\t"))
        }
        serde_json::Value::Object(members) => {
            let members = members.iter().rev();
            let members: Vec<_> = members
                .map(|(name, value)| format!("{} : {}", string(name), respell(value)))
                .collect();
            format!("{{\r\n{} }}", members.join(" ,"))
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(seeded(512))]

    /// Goal: the form is right for documents nobody thought of. Method: an independent
    /// implementation of RFC 8785 as the oracle.
    #[test]
    fn agrees_with_another_implementation(document in documents()) {
        let expected = serde_json_canonicalizer::to_string(&document).unwrap();
        prop_assert_eq!(canonical(&document.to_string()).unwrap(), expected);
    }

    /// Goal: order, space and escapes do not matter. Method: write the document in another way.
    #[test]
    fn another_spelling_is_the_same_payload(document in documents()) {
        prop_assert_eq!(absorbed(&document.to_string()), absorbed(&respell(&document)));
    }

    /// Goal: a change of any value or name shows. Method: two documents agree in what is hashed
    /// only if they are equal; one is the other with a small change.
    #[test]
    fn a_changed_value_is_another_payload(document in documents(), by in 1_i64..5) {
        let wrap = |marker: i64| serde_json::json!({"document": document, "marker": marker});
        let (a, b) = (wrap(by).to_string(), wrap(by + 1).to_string());
        prop_assert_ne!(absorbed(&a), absorbed(&b));
        let renamed = a.replace("\"marker\":", "\"Marker\":");
        prop_assert_ne!(absorbed(&a), absorbed(&renamed));
        let nested = format!("[{a}]");
        prop_assert_ne!(absorbed(&a), absorbed(&nested));
    }

    /// Goal: every double is written with the fewest digits, and read back. Method: random bits
    /// against the standard library, which has its own generator of digits.
    #[test]
    fn doubles_have_the_fewest_digits(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let text = number::text_of(value).unwrap();
        prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        let digits = |text: &str| {
            let mantissa = text.split('e').next().unwrap().replace(['.', '-'], "");
            mantissa.trim_matches('0').len()
        };
        prop_assert_eq!(digits(&text), digits(&format!("{value:e}")));
    }

    /// Goal: equal means equal in value. Method: two integers of 2 to 30 digits, written with
    /// different exponents, agree only if they are the same number.
    #[test]
    fn integers_of_any_size_are_exact(
        a in "[1-9][0-9]{1,29}",
        change in 0_u8..2,
        zeros in 0_usize..4,
    ) {
        let last = (a.as_bytes()[a.len() - 1] - b'0' + change) % 10;
        let b = format!("{}{last}", &a[..a.len() - 1]);
        let spelled = format!("{b}{}e-{zeros}", "0".repeat(zeros));
        prop_assert_eq!(absorbed(&a) == absorbed(&spelled), a == b);
    }
}
