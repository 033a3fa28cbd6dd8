//! Forms, in plain code: pairs of decoded bytes.

/// The pairs in the order of their names; `None` where a percent sign escapes nothing, or where
/// there are too many of them.
pub(super) fn pairs(body: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut pairs = Vec::new();
    for pair in body.split(|byte| *byte == b'&') {
        if !pair.is_empty() {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().expect("splitn gives one part"))?;
            let value = halves.next().map_or(Some(Vec::new()), decode)?;
            pairs.push((name, value));
        }
    }
    if pairs.len() > oncegate::Payload::MAX_FORM_PAIRS {
        return None;
    }
    // Names in order, and those that are equal as they came.
    let mut sorted: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let at = sorted.iter().take_while(|(name, _)| *name <= pair.0).count();
        sorted.insert(at, pair);
    }
    Some(sorted)
}

/// The same form with every byte escaped.
pub(super) fn respelled(body: &[u8]) -> Option<Vec<u8>> {
    let escape = |text: &[u8]| text.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let pair = |(name, value): &(Vec<u8>, Vec<u8>)| format!("{}={}", escape(name), escape(value));
    Some(pairs(body)?.iter().map(pair).collect::<Vec<_>>().join("&").into_bytes())
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'+' => decoded.push(b' '),
            b'%' => {
                let digits = text.get(at + 1..at + 3)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                let digits = std::str::from_utf8(digits).expect("hex digits");
                decoded.push(u8::from_str_radix(digits, 16).expect("hex digits"));
                at += 2;
            }
            byte => decoded.push(byte),
        }
        at += 1;
    }
    Some(decoded)
}
