//! Frames, whole and cut at every byte.

use super::{Framing, Limits, Malformed, is_push, replies, words};

/// One frame of each kind, and of kinds in each other.
const REPLIES: &[&[u8]] = &[
    b"+OK\r\n",
    b"+\r\n",
    b"-ERR no such thing\r\n",
    b":1000\r\n",
    b":-7\r\n",
    b"$0\r\n\r\n",
    b"$12\r\nhello\r\nworld\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n$1\r\na\r\n:1\r\n",
    b"*3\r\n*0\r\n*1\r\n*2\r\n$-1\r\n*-1\r\n+end\r\n",
    // RESP3.
    b"_\r\n",
    b"#t\r\n",
    b",1.25\r\n",
    b"(3492890328409238509324850943850943825024385\r\n",
    b"!21\r\nSYNTAX invalid syntax\r\n",
    b"=15\r\ntxt:Some string\r\n",
    b"%0\r\n",
    b"%2\r\n+first\r\n:1\r\n+second\r\n*2\r\n_\r\n#f\r\n",
    b"~2\r\n+a\r\n+b\r\n",
    b">3\r\n+message\r\n+channel\r\n$2\r\n\r\n\r\n",
    // An attribute belongs to what follows it, outside and inside.
    b"|1\r\n+ttl\r\n:3600\r\n*1\r\n+value\r\n",
    b"*2\r\n:1\r\n|1\r\n+ttl\r\n:3600\r\n:2\r\n",
    b"|0\r\n+value\r\n",
];

const REQUESTS: &[&[u8]] = &[
    b"*1\r\n$4\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n",
    b"PING\r\n",
    b"SET key value\n",
    b"\r\n",
    b"*0\r\n",
];

fn owned(frames: &[&[u8]]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.to_vec()).collect()
}

/// Goal: frames are found wherever the bytes are cut. Method: all kinds in one stream, cut into
/// two at every byte, and into single bytes.
#[test]
fn frames_are_found_wherever_bytes_are_cut() {
    type Case = (fn() -> Framing, &'static [&'static [u8]]);
    let cases: [Case; 2] = [(Framing::replies, REPLIES), (Framing::requests, REQUESTS)];
    for (new, frames) in cases {
        let stream = frames.concat();
        assert_eq!(new().push(&stream).expect("frames"), owned(frames));
        for cut in 0..=stream.len() {
            let mut framing = new();
            let mut found = framing.push(&stream[..cut]).expect("frames");
            // Each frame is handed over with its last byte, and no later.
            let ended = found.concat().len();
            assert_eq!(framing.clone().rest().len(), cut - ended, "{cut}");
            let open = &stream[ended..cut];
            assert!(!frames.contains(&open) || open.is_empty(), "{cut}");
            found.extend(framing.push(&stream[cut..]).expect("frames"));
            assert_eq!(found, owned(frames), "{cut}");
            assert!(framing.rest().is_empty());
        }
        let mut framing = new();
        let single = stream.iter().flat_map(|byte| framing.push(&[*byte]).expect("frames"));
        assert_eq!(single.collect::<Vec<_>>(), owned(frames));
    }
}

/// Goal: what is no frame is said to be none, and why, with the frames before it handed over and
/// the bytes kept. Method: one case for each reason, whole and byte by byte.
#[test]
fn what_is_no_frame_is_refused() {
    let cases: &[(&[u8], Malformed)] = &[
        (b"\x16\x03\x01", Malformed::Type(0x16)),
        (b"hello\r\n", Malformed::Type(b'h')),
        (b"*1\r\nPING\r\n", Malformed::Type(b'P')),
        (b"$\r\n", Malformed::Length),
        (b"$-2\r\n", Malformed::Length),
        (b"$1x\r\n", Malformed::Length),
        (b"*+1\r\n", Malformed::Length),
        (b"*9999999999999999999\r\n", Malformed::Length),
        (b"$999999999999999999\r\n", Malformed::TooLarge),
        (b"$1\r\nabc", Malformed::LineEnd),
        (b"+OK\n", Malformed::LineEnd),
    ];
    for (bytes, why) in cases {
        let mut stream = b"+OK\r\n".to_vec();
        stream.extend_from_slice(bytes);
        for step in [1, stream.len()] {
            let mut framing = Framing::replies();
            let mut frames = 0;
            let mut told = None;
            for piece in stream.chunks(step) {
                if let Err(malformed) = framing.each(piece, |_| frames += 1) {
                    told.get_or_insert(malformed);
                }
            }
            assert_eq!((frames, told), (1, Some(*why)), "{bytes:?}");
            assert_eq!(framing.rest(), *bytes, "{bytes:?}");
            assert_eq!(framing.push(b"+OK\r\n"), Err(*why), "it stays so");
        }
    }
    let inline = Framing::requests().push(b"*1\r\nPING\r\n");
    assert_eq!(inline, Err(Malformed::Type(b'P')), "words lie in no array");
}

/// Goal: limits hold at their last byte, and nothing is kept beyond them. Method: one that fits
/// and one that does not, of each.
#[test]
fn limits_are_kept() {
    let limits = Limits { line: 8, frame: 24, depth: 2 };
    let push = |bytes: &[u8]| {
        let mut framing = Framing::replies().within(limits);
        let pushed = framing.push(bytes).map(|frames| frames.len());
        (pushed, framing.rest().len())
    };
    assert_eq!(push(b"+123456\r\n"), (Err(Malformed::TooLarge), 9));
    assert_eq!(push(b"+12345\r\n"), (Ok(1), 0));
    // Of a line without end, too.
    assert_eq!(push(b"+12345678").0, Err(Malformed::TooLarge));
    let string = |length: usize| format!("${length}\r\n{}\r\n", "x".repeat(length));
    assert_eq!(push(string(17).as_bytes()), (Ok(1), 0));
    assert_eq!(push(string(18).as_bytes()).0, Err(Malformed::TooLarge));
    // By what it announces, before the bytes come.
    assert_eq!(push(b"$18\r\n").0, Err(Malformed::TooLarge));
    assert_eq!(push(b"*1\r\n*1\r\n:1\r\n"), (Ok(1), 0));
    assert_eq!(push(b"*1\r\n*1\r\n*1\r\n").0, Err(Malformed::TooLarge));
    // Each value alone would fit.
    assert_eq!(push(b"*4\r\n+aaa\r\n+bbb\r\n+ccc\r\n").0, Ok(0));
    assert_eq!(push(b"*4\r\n+aaa\r\n+bbb\r\n+ccc\r\n+ddd\r\n").0, Err(Malformed::TooLarge));
}

/// Goal: a large reply is cut in one pass. Method: the bytes that the parser looks at, by their
/// effect: a frame of many pieces is as long as they are together.
#[test]
fn a_large_string_passes_in_pieces() {
    let length = 4 << 20;
    let mut framing = Framing::replies();
    assert!(framing.push(format!("${length}\r\n").as_bytes()).expect("a frame").is_empty());
    let piece = vec![b'\n'; 1 << 14];
    for _ in 0..length / piece.len() {
        assert!(framing.push(&piece).expect("a frame").is_empty());
    }
    let frames = framing.push(b"\r\n+OK\r\n").expect("two frames");
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].len(), length + 12);
}

/// Goal: the words of a request, and none where there are none. Method: both forms; frames that
/// lie about their lengths.
#[test]
fn the_words_of_a_request() {
    let set = b"*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n";
    assert_eq!(words(set, 9), [b"SET".as_slice(), b"k\r\n", b""]);
    assert_eq!(words(set, 1), [b"SET".as_slice()]);
    assert_eq!(words(b"set  key value\n", 9), [b"set".as_slice(), b"key", b"value"]);
    for none in [b"\r\n".as_slice(), b"", b"*", b"*1\r\n:1\r\n", b"*1\r\n$9\r\nGET\r\n"] {
        assert!(words(none, 9).is_empty(), "{none:?}");
    }
}

/// Goal: what a server sends by itself is told from replies. Method: both protocols.
#[test]
fn pushes_are_told_from_replies() {
    for push in [
        b">2\r\n+invalidate\r\n*1\r\n+k\r\n".as_slice(),
        b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
        b"*4\r\n$8\r\npmessage\r\n$1\r\np\r\n$1\r\nc\r\n$1\r\nm\r\n",
    ] {
        assert!(is_push(push), "{push:?}");
    }
    for reply in [
        b"+message\r\n".as_slice(),
        b"$7\r\nmessage\r\n",
        b"*1\r\n$3\r\nfoo\r\n",
        b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    ] {
        assert!(!is_push(reply), "{reply:?}");
    }
}

/// Goal: how many replies a request has. Method: one of each kind.
#[test]
fn the_replies_of_a_request() {
    for (request, expected) in [
        (b"PING\r\n".as_slice(), 1),
        (b"\r\n", 0),
        (b"SUBSCRIBE a b c\r\n", 3),
        (b"UNSUBSCRIBE\r\n", 1),
        (b"*3\r\n$10\r\npsubscribe\r\n$1\r\na\r\n$1\r\nb\r\n", 2),
    ] {
        assert_eq!(replies(request), expected, "{request:?}");
    }
}
