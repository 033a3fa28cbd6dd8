//! What a frame says, as far as rules need it.

/// The words of a request or of a push: a command and its arguments, at most `most` of them.
/// Empty where the frame is neither.
///
/// ```
/// use oncegate_rig::resp::words;
///
/// assert_eq!(words(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", 9), [b"GET".as_slice(), b"k"]);
/// assert_eq!(words(b"PING hello\r\n", 9), [b"PING".as_slice(), b"hello"]);
/// ```
#[must_use]
pub fn words(frame: &[u8], most: usize) -> Vec<&[u8]> {
    let Some(after) = frame.strip_prefix(b"*").or_else(|| frame.strip_prefix(b">")) else {
        let words = frame.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        return words.take(most).collect();
    };
    let mut found = Vec::new();
    let Some((_, mut left)) = line(after) else { return found };
    while found.len() < most {
        let Some((length, after)) = left.strip_prefix(b"$").and_then(line) else { break };
        let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
        let Some((word, after)) = length.and_then(|length| after.split_at_checked(length)) else {
            break;
        };
        found.push(word);
        left = after.strip_prefix(b"\r\n").unwrap_or(&[]);
    }
    found
}

/// Whether a server sends this by itself, and not as the reply to a request: a push of RESP3, or
/// a message of a subscription in RESP2. That a subscription begins or ends is a reply, though
/// RESP3 sends it as a push. In RESP2 a list that begins with the word `message` looks the same.
#[must_use]
pub fn is_push(frame: &[u8]) -> bool {
    let first = words(frame, 1).first().copied().unwrap_or_default();
    match frame.first() {
        Some(b'>') => !first.ends_with(b"subscribe"),
        Some(b'*') => [b"message".as_slice(), b"pmessage", b"smessage"].contains(&first),
        _ => false,
    }
}

/// How many replies a request has: one, but for subscriptions, which have one for each channel.
/// Ending all subscriptions at once without naming them is taken for one.
#[must_use]
pub fn replies(frame: &[u8]) -> usize {
    let command = words(frame, 1).first().copied().unwrap_or_default();
    if command.to_ascii_lowercase().ends_with(b"subscribe") {
        return (words(frame, usize::MAX).len() - 1).max(1);
    }
    usize::from(!command.is_empty())
}

/// A line, and what comes after its end.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, after) = bytes.split_at(at + 1);
    Some((line.strip_suffix(b"\r\n")?, after))
}
