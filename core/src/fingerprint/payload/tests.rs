//! Canonical forms, byte by byte: forms, multipart bodies, and what pointers leave.

use proptest::prelude::*;

use super::*;
use crate::fingerprint::tests::seeded;

impl Absorb for Vec<u8> {
    fn absorb(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What a hash would be given: two payloads agree if and only if this does.
fn form_of(payload: Payload<'_>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    payload.absorb(&mut bytes, true)?;
    Ok(bytes)
}

fn same(a: Payload<'_>, b: Payload<'_>) -> bool {
    form_of(a).unwrap() == form_of(b).unwrap()
}

fn found(payload: Payload<'_>, field: &str) -> String {
    let error = form_of(payload).unwrap_err();
    assert_eq!((error.code(), error.field()), (ErrorCode::InvalidPayload, field), "{error}");
    error.to_string()
}

/// Goal: a form is its decoded pairs. Method: spellings of one form, and forms that differ.
#[test]
fn forms_compare_as_pairs() {
    let form = |body: &'static str| Payload::form(body.as_bytes());
    let plain = form("a=1&b=x y&b=2");
    for spelling in ["b=x+y&a=1&b=2", "b=x%20y&b=2&a=1", "&a=%31&&b=x+y&b=2&", "%61=1&b=x+y&b=2"] {
        assert!(same(plain, form(spelling)), "{spelling}");
    }
    for other in ["a=1&b=2&b=x+y", "a=1&b=x+y", "a=1&b=x%2By&b=2", "A=1&b=x+y&b=2", "a=1b=x+y&b=2"]
    {
        assert!(!same(plain, form(other)), "{other}");
    }
    assert!(same(form("a"), form("a=")) && !same(form("a"), form("")));
    assert!(same(form("a=b=c"), form("a=b%3Dc")) && same(form("=v"), form("&=v")));
    assert!(same(form("a=%C3%BC"), form("a=ü")) && same(form("a=%c3%bc"), form("a=%C3%BC")));
    for broken in ["a=%", "a=%4", "a=%zz", "%=1", "a=100%&b=1"] {
        assert!(found(form(broken), "payload").contains("percent"), "{broken}");
    }
}

/// Goal: pairs are bounded. Method: the limit, and one more.
#[test]
fn forms_have_a_limit() {
    let body = "a&".repeat(Payload::MAX_FORM_PAIRS);
    assert!(Payload::form(body.as_bytes()).check().is_ok());
    let body = "a&".repeat(Payload::MAX_FORM_PAIRS + 1);
    assert!(found(Payload::form(body.as_bytes()), "payload").contains("10000"));
}

fn upload(boundary: &str) -> String {
    format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA title\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\
         Content-Type: image/png\r\n\r\n\r\n-- {boundary}\r\n--\r\n\r\n--{boundary}--\r\n"
    )
}

/// Goal: what encoders choose freely does not matter. Method: rewrite one body in each way.
#[test]
fn multipart_ignores_the_encoder() {
    let boundary = "----FormBoundary7MA4YWxkTrZu0gW";
    let body = upload("X").replace("-- X", "--");
    let original = Payload::multipart(body.as_bytes(), "X");
    let rewrites = [
        upload(boundary).replace(&format!("-- {boundary}"), "--"),
        format!("a preamble\r\n{}", body.clone()),
        format!("{body}an epilogue\r\n--X\r\n"),
        body.trim_end().to_owned(),
        body.replace("Content-Type:", "content-type:   "),
        body.replace("image/png", "IMAGE/png"),
        body.replace("name=\"title\"", "NAME=title"),
        body.replace("name=\"file\"; filename=\"a.png\"", "filename=\"a.png\" ;name=file;"),
        body.replace("; filename", ";\r\n filename"),
        body.replace("Content-Type", "Content-Length: 7\r\nX-Trace: 1\r\nContent-Type"),
        body.replace("--X\r\n", "--X \t\r\n"),
    ];
    for (number, rewrite) in rewrites.iter().enumerate() {
        assert_ne!(*rewrite, body, "{number}");
        let boundary = if number == 0 { boundary } else { "X" };
        assert!(same(original, Payload::multipart(rewrite.as_bytes(), boundary)), "{number}");
    }
}

/// Goal: what a handler can see matters. Method: change one thing at a time.
#[test]
fn multipart_sees_every_part() {
    let body = upload("X");
    let original = Payload::multipart(body.as_bytes(), "X");
    let (first, second) =
        body.split_at(body.find("--X\r\nContent-Disposition: form-data; name=\"file").unwrap());
    let second = second.strip_suffix("--X--\r\n").unwrap();
    for other in [
        body.replace("A title", "B title"),
        body.replace("name=\"title\"", "name=\"Title\""),
        body.replace("a.png", "b.png"),
        body.replace("; filename=\"a.png\"", ""),
        body.replace("image/png", "image/gif"),
        body.replace("Content-Type: image/png\r\n", ""),
        body.replace("image/png", "image/png\r\nContent-Transfer-Encoding: base64"),
        body.replace("-- X", "--"),
        format!("{second}{first}--X--"),
        format!("{first}{first}{second}--X--"),
        format!("{first}--X--"),
        "--X--".to_owned(),
    ] {
        assert_ne!(other, body);
        assert!(!same(original, Payload::multipart(other.as_bytes(), "X")), "{other}");
    }
}

/// Goal: content that looks like a delimiter stays content. Method: near misses inside a part
/// count as its bytes.
#[test]
fn near_delimiters_are_content() {
    let body = |content: &str| format!("--b\r\n\r\n{content}\r\n--b--");
    for content in
        ["\r\n--bb\r\n", "\r\n-b\r\n", "x--b\r\n", "\r\n--b-\r\n", "\n--b\n", "\r\r\n--b x\r\n"]
    {
        let bytes = form_of(Payload::multipart(body(content).as_bytes(), "b")).unwrap();
        assert_eq!(bytes[..9], [5, 1, 0, 0, 0, 0, 0, 0, 0], "{content:?}");
        assert!(bytes.ends_with(content.as_bytes()), "{content:?}");
    }
}

/// Goal: a quoted value ends at its own quote. Method: names that end with an escape are read,
/// and taken as they stand.
#[test]
fn quoted_parameters_end_where_they_end() {
    let body = |name: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; x=y\r\n\r\n\r\n--b--")
    };
    let read = |name: &str| form_of(Payload::multipart(body(name).as_bytes(), "b")).unwrap();
    for name in [r#"a\""#, r"a\\", r#"\"; x=z"#, "a;b", "ü %22"] {
        let form = read(name);
        assert!(form.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
        assert_ne!(form, read("a"), "{name}");
    }
}

/// Goal: broken bodies and boundaries are refused, typed. Method: one of each.
#[test]
fn broken_multipart_is_refused() {
    let refuse = |body: &str| found(Payload::multipart(body.as_bytes(), "b"), "payload");
    for (body, class) in [
        ("", "closing delimiter"),
        ("--b\r\n\r\nx", "closing delimiter"),
        ("--b\r\n\r\nx\r\n--b", "closing delimiter"),
        ("--b\n\nx\n--b--\n", "closing delimiter"),
        ("--b\r\nA: x\r\n--b--", "empty line"),
        ("--b\r\nno header\r\n\r\n\r\n--b--", "colon"),
        ("--b\r\n: x\r\n\r\n\r\n--b--", "header name"),
        ("--b\r\nContent-Type: a\r\ncontent-type: b\r\n\r\n\r\n--b--", "given twice"),
        ("--b\r\nContent-Type: a; x=1; X=2\r\n\r\n\r\n--b--", "given twice"),
        ("--b\r\nContent-Type: a; x\r\n\r\n\r\n--b--", "parameter"),
        ("--b\r\nContent-Type: a; =x\r\n\r\n\r\n--b--", "parameter"),
        ("--b\r\nContent-Type: a; x=\"y\r\n\r\n\r\n--b--", "quoted"),
        ("--b\r\nContent-Type: a; x=\"y\\\r\n\r\n\r\n--b--", "quoted"),
        ("--b\r\nContent-Type: a; x=\"y\"z\r\n\r\n\r\n--b--", "after a header parameter"),
    ] {
        assert!(refuse(body).contains(class), "{body:?}: {}", refuse(body));
    }
    let headers = format!("--b\r\nA: {}\r\n\r\n\r\n--b--", "x".repeat(20_000));
    assert!(refuse(&headers).contains("16384"));
    let parts = |count| format!("{}--b--", "--b\r\n\r\n\r\n".repeat(count));
    assert!(Payload::multipart(parts(Payload::MAX_PARTS).as_bytes(), "b").check().is_ok());
    assert!(refuse(&parts(Payload::MAX_PARTS + 1)).contains("1024"));
    for boundary in ["", &"x".repeat(71), "a\r\nb", "ends with ", "\"q\"", "ü"] {
        found(Payload::multipart(b"", boundary), "payload.boundary");
    }
}

const DOCUMENT: &[u8] = br#"{"a": {"b": [10, 20, 30], "c/d": 1, "e~f": 2}, "": null, "t": 7}"#;

fn without(pointers: &[&str]) -> Vec<u8> {
    form_of(Payload::json(DOCUMENT).excluding(pointers)).unwrap()
}

/// Goal: excluded values are as if never sent. Method: compare with the document without them.
#[test]
fn excluding_removes_values() {
    for (pointers, left) in [
        (&["/t"][..], r#"{"a":{"b":[10,20,30],"c/d":1,"e~f":2},"":null}"#),
        (&["/a"], r#"{"":null,"t":7}"#),
        (&["/"], r#"{"a":{"b":[10,20,30],"c/d":1,"e~f":2},"t":7}"#),
        (&["/a/b/0", "/a/b/2"], r#"{"a":{"b":[20],"c/d":1,"e~f":2},"":null,"t":7}"#),
        (&["/a/c~1d", "/a/e~0f"], r#"{"a":{"b":[10,20,30]},"":null,"t":7}"#),
        (&["/a", "/a/b", "/t"], r#"{"":null}"#),
        (&["/x", "/a/b/3", "/a/b/-", "/a/b/01", "/a/b/+1", "/t/x", "/a/B"], ""),
    ] {
        let left = if left.is_empty() { DOCUMENT } else { left.as_bytes() };
        assert_eq!(without(pointers), form_of(Payload::json(left)).unwrap(), "{pointers:?}");
    }
}

/// Goal: only included values count. Method: documents that agree there and nowhere else, and
/// documents that differ there.
#[test]
fn including_keeps_values() {
    let pointers = ["/a/b/1", "/t"];
    let pick = |body: &'static str| Payload::json(body.as_bytes()).including(&pointers);
    let original = pick(r#"{"a": {"b": [1, 20]}, "t": 7}"#);
    assert!(same(original, pick(r#"{"t": 7.0, "x": 1, "a": {"b": [null, 2e1, 5], "y": 0}}"#)));
    for other in [
        r#"{"a": {"b": [1, 21]}, "t": 7}"#,
        r#"{"a": {"b": [20]}, "t": 7}"#,
        r#"{"a": {"b": [1, 20]}}"#,
        r#"{"a": {"b": [1, 20]}, "t": null}"#,
        r#"{"a": {"b": [1, 7]}, "t": 20}"#,
        "20",
    ] {
        assert!(!same(original, pick(other)), "{other}");
    }
    let body = Payload::json(DOCUMENT);
    assert!(same(body.including(&["/t", "/a"]), body.including(&["/a", "/t", "/a"])));
    assert!(!same(body.including(&["/t"]), body.including(&["/t", "/x"])));
    assert!(!same(body, body.including(&[""])), "a selection is a kind of its own");
    let whole = body.including(&[""]);
    let rest = Payload::json(br#"{"a": {"b": [10, 20, 30], "c/d": 1, "e~f": 2}, "": null}"#);
    assert!(same(whole.excluding(&["/t"]), rest.including(&[""])));
    assert!(!same(body.including(&["/a"]), body.including(&["/a"]).excluding(&["/a/b"])));
    assert!(same(
        body.including(&["/a/b"]).excluding(&["/a"]),
        body.including(&["/a/b"]).excluding(&["/a/b"])
    ));
}

/// Goal: broken pointers are refused, typed, whether or not they would match. Method: each kind.
#[test]
fn broken_pointers_are_refused() {
    let long = format!("/{}", "x".repeat(1024));
    for (pointer, class) in [
        ("t", "leading slash"),
        ("#/t", "leading slash"),
        ("/t~", "tilde"),
        ("/~2", "tilde"),
        ("/~~0", "tilde"),
        (&long, "1025 bytes"),
    ] {
        let list = [pointer];
        for payload in
            [Payload::json(DOCUMENT).excluding(&list), Payload::json(DOCUMENT).including(&list)]
        {
            assert!(found(payload, "payload.pointer").contains(class), "{pointer}");
        }
    }
    assert!(Payload::json(DOCUMENT).excluding(&["/t"; 64]).check().is_ok());
    assert!(
        found(Payload::json(DOCUMENT).excluding(&["/t"; 65]), "payload.pointer").contains("65")
    );
    assert!(found(Payload::json(b"{}").excluding(&[""]), "payload.pointer").contains("whole"));
    for payload in
        [Payload::none(), Payload::raw(b"{}"), Payload::form(b""), Payload::multipart(b"", "b")]
    {
        assert!(
            found(payload.excluding(&["/a"]), "payload.pointer").contains("JSON payloads only")
        );
    }
}

proptest! {
    #![proptest_config(seeded(256))]

    /// Goal: the boundary never matters. Method: the same random parts under two boundaries.
    #[test]
    fn boundaries_do_not_matter(
        contents in prop::collection::vec("[\r\n a-c-]{0,40}", 0..6),
        boundaries in prop::array::uniform2("[A-Z0-9]{12,40}"),
    ) {
        let encode = |boundary: &str| {
            let parts = contents.iter().enumerate().map(|(number, content)| {
                let header = format!("Content-Disposition: form-data; name=\"{number}\"");
                format!("--{boundary}\r\n{header}\r\n\r\n{content}\r\n")
            });
            format!("{}--{boundary}--\r\n", parts.collect::<String>())
        };
        let [a, b] = boundaries.each_ref().map(|boundary| encode(boundary));
        prop_assert!(same(
            Payload::multipart(a.as_bytes(), &boundaries[0]),
            Payload::multipart(b.as_bytes(), &boundaries[1]),
        ));
    }

    /// Goal: encoding is undone, order of names does not matter, everything else does. Method:
    /// encode random pairs plainly, and fully escaped in order of their names backwards.
    #[test]
    fn forms_do_not_depend_on_the_encoder(
        pairs in prop::collection::vec((0_u8..6, prop::collection::vec(any::<u8>(), 0..8)), 1..12),
        changed in any::<prop::sample::Index>(),
    ) {
        let escape = |bytes: &[u8]| bytes.iter().map(|b| format!("%{b:02X}")).collect::<String>();
        let encode = |pairs: &[(u8, Vec<u8>)]| {
            let list = pairs.iter().map(|(name, value)| {
                format!("{}={}", (b'a' + name) as char, escape(value))
            });
            list.collect::<Vec<_>>().join("&")
        };
        let plain = encode(&pairs);
        let mut reordered = pairs.clone();
        reordered.sort_by_key(|(name, _)| std::cmp::Reverse(*name));
        let moved = encode(&reordered);
        prop_assert!(same(Payload::form(plain.as_bytes()), Payload::form(moved.as_bytes())));

        let mut other = pairs.clone();
        let index = changed.index(other.len());
        other[index].1.push(0);
        let other = encode(&other);
        prop_assert!(!same(Payload::form(plain.as_bytes()), Payload::form(other.as_bytes())));
    }

    /// Goal: no input makes a parser panic or hang. Method: random bytes, and random pieces of
    /// the three syntaxes, as every kind of payload.
    #[test]
    fn any_bytes_get_an_answer(
        noise in prop::collection::vec(any::<u8>(), 0..64),
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24),
    ) {
        for body in [noise, pieces.concat().into_bytes()] {
            for payload in [
                Payload::json(&body),
                Payload::json(&body).excluding(&["/a", "/a/0", "/0"]).including(&["/a", "/b"]),
                Payload::form(&body),
                Payload::multipart(&body, "b"),
            ] {
                let _ = form_of(payload);
            }
        }
    }
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"b",
    "\"",
    "\\",
    "\\u",
    "d800",
    "1",
    "-",
    "e",
    ".",
    "true",
    "null",
    " ",
    "%",
    "=",
    "&",
    "+",
    "\r\n",
    "--b",
    "--",
    "Content-Type: ",
    ";",
    "a=b",
];
