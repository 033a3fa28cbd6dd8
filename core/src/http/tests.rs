//! The parts of the layer that need no server: keys, payload kinds, bodies, and what is kept.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};

use super::answer::refusal;
use super::body::{LayerBody, Read, read};
use super::payload::PayloadKind;
use super::settings::Settings;
use super::{IdempotencyLayer, ScopeSource, key};
use crate::{BeginOptions, Engine, Error, ErrorCode};

const NAME: HeaderName = HeaderName::from_static("idempotency-key");

fn key_of(values: &[&[u8]]) -> Result<Option<Vec<u8>>, key::Malformed> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(NAME, HeaderValue::from_bytes(value).expect("a legal header"));
    }
    key::read(&headers, &NAME)
}

/// Goal: both spellings of a key name the same key. Method: bare, quoted, escaped, with
/// parameters and surrounding space.
#[test]
fn bare_and_quoted_keys_agree() {
    assert_eq!(key_of(&[]), Ok(None));
    for spelling in ["8e03-978e", "\"8e03-978e\"", "  8e03-978e ", "\"8e03-978e\";v=1"] {
        assert_eq!(key_of(&[spelling.as_bytes()]), Ok(Some(b"8e03-978e".to_vec())), "{spelling}");
    }
    assert_eq!(key_of(&[br#""a \"b\" \\ c""#]), Ok(Some(br#"a "b" \ c"#.to_vec())));
    // A quoted key of no characters is the engine's to refuse.
    assert_eq!(key_of(&[b"\"\""]), Ok(Some(Vec::new())));
}

/// Goal: a key that can be read in two ways is refused. Method: joined headers, repeated headers,
/// broken quoting, characters outside of ASCII.
#[test]
fn ambiguous_keys_are_refused() {
    let refused: [&[&[u8]]; 10] = [
        &[b""],
        &[b"a", b"a"],
        &[b"a, b"],
        &[b"\"a\", \"b\""],
        &[b"\"a"],
        &[b"\"a\\x\""],
        &[b"\"a\"b"],
        &[b"a b"],
        &[b"k\xe9y"],
        &[b"\"k\xe9y\""],
    ];
    for values in refused {
        assert!(key_of(values).is_err(), "{values:?}");
    }
}

fn kind_of(content_type: &str) -> PayloadKind {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).expect("a legal header"));
    PayloadKind::of(&headers)
}

/// Goal: bodies are compared as their handlers read them. Method: content types with parameters,
/// in any case, and boundaries in every spelling.
#[test]
fn content_types_choose_the_comparison() {
    let multipart = |boundary: &str| PayloadKind::Multipart(boundary.to_owned());
    let cases = [
        ("application/json", PayloadKind::Json),
        ("Application/JSON; charset=utf-8", PayloadKind::Json),
        ("application/merge-patch+json", PayloadKind::Json),
        ("application/x-ndjson", PayloadKind::Raw),
        ("application/x-www-form-urlencoded", PayloadKind::Form),
        ("text/plain", PayloadKind::Raw),
        ("multipart/form-data; boundary=abc", multipart("abc")),
        ("multipart/form-data; charset=\"a;boundary=no\"; Boundary=\"x y\"", multipart("x y")),
        ("multipart/form-data; boundary=abc ; charset=utf-8", multipart("abc")),
        ("multipart/form-data", PayloadKind::Raw),
        ("multipart/form-data; boundary=\"open", PayloadKind::Raw),
        ("multipart/mixed; boundary=abc", PayloadKind::Raw),
    ];
    for (content_type, kind) in cases {
        assert_eq!(kind_of(content_type), kind, "{content_type}");
    }
}

/// Goal: what cannot be parsed is compared byte by byte. Method: an encoded body, and a type that
/// is given twice.
#[test]
fn encoded_or_doubtful_bodies_are_raw() {
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::new();
    assert_eq!(PayloadKind::of(&headers), PayloadKind::Raw);
    headers.append(CONTENT_TYPE, json.clone());
    assert_eq!(PayloadKind::of(&headers), PayloadKind::Json);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(PayloadKind::of(&headers), PayloadKind::Raw);
    headers.remove(CONTENT_ENCODING);
    headers.append(CONTENT_TYPE, json);
    assert_eq!(PayloadKind::of(&headers), PayloadKind::Raw);
}

/// Goal: an empty body with the type that the client sets everywhere is no malformed document.
/// Method: digest one as JSON.
#[test]
fn an_empty_body_is_no_payload() {
    assert!(PayloadKind::Json.payload(b"").check().is_ok());
    assert!(PayloadKind::Json.payload(b"{").check().is_err());
}

/// A body is ready at once here: one poll of the reader is enough.
fn read_now<B: Body<Data = Bytes>>(body: B, limit: usize) -> Read<B> {
    let mut reading = pin!(read(body, limit));
    match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(read) => read,
        Poll::Pending => panic!("the body was not ready"),
    }
}

/// A body that does not say how long it is.
struct Pieces(Vec<&'static [u8]>, Option<HeaderMap>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = if self.0.is_empty() {
            self.1.take().map(Frame::trailers)
        } else {
            Some(Frame::data(Bytes::from_static(self.0.remove(0))))
        };
        Poll::Ready(frame.map(Ok))
    }
}

/// Goal: a body passes through unchanged, trailers included, and its limit is exact, whether or not
/// its length is known. Method: read bodies at, below and above the limit, in one piece and in
/// two, and read again what is left.
///
/// A length that is announced rules trailers out in HTTP/1.1.
#[test]
fn bodies_are_read_up_to_their_limit() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    for limit in 0..10 {
        let bytes = Bytes::from_static(b"12345");
        let whole = LayerBody::<Pieces>::whole(bytes.clone(), Some(trailers.clone()));
        assert_eq!((whole.size_hint().lower(), whole.size_hint().exact()), (5, None));
        assert_passes(whole, limit, &bytes, &trailers);
        assert_passes(
            Pieces(vec![b"123", b"45"], Some(trailers.clone())),
            limit,
            &bytes,
            &trailers,
        );
    }
    let plain = LayerBody::<Pieces>::whole(Bytes::from_static(b"12345"), None);
    assert_eq!(plain.size_hint().exact(), Some(5));
}

/// Reads `body` up to `limit`, and then what the reader made of it.
fn assert_passes<B>(body: B, limit: usize, bytes: &Bytes, trailers: &HeaderMap)
where
    B: Body<Data = Bytes>,
{
    let again = match read_now(body, limit) {
        Read::Whole(bytes, trailers) => {
            assert!(limit >= 5, "limit {limit}");
            LayerBody::whole(bytes, trailers)
        }
        Read::Over(front, rest) => {
            assert!(limit < 5, "limit {limit}");
            LayerBody::partial(front, rest)
        }
        Read::Broken => panic!("the body breaks nowhere"),
    };
    let Read::Whole(back, Some(trailing)) = read_now(again, usize::MAX) else {
        panic!("limit {limit}");
    };
    assert_eq!((&back, &trailing), (bytes, trailers));
}

fn engine() -> Arc<Engine> {
    Arc::new(Engine::builder().capacity(16).build().expect("a small engine"))
}

fn layer() -> IdempotencyLayer {
    IdempotencyLayer::new(engine(), |_parts| ScopeSource::SingleTenant)
}

/// Goal: clients come again when a store across machines may be back, and are not told to where it
/// may not be used; they are told nothing of where it is. Method: each error of such a store, with
/// and without a time of its own.
#[test]
fn tiers_that_are_away_are_told_as_such() {
    let settings = Settings::new(engine(), Arc::new(|_parts| ScopeSource::SingleTenant));
    let error = |code| Error::new(code, "tier", "redis.internal:6379", "");
    let later =
        |millis| error(ErrorCode::TierUnavailable).with_retry_after(Duration::from_millis(millis));
    for (error, code, retry_after) in [
        (error(ErrorCode::TierUnavailable), "tier-unavailable", Some("1")),
        (later(1), "tier-unavailable", Some("1")),
        (later(2_500), "tier-unavailable", Some("3")),
        (error(ErrorCode::TierUnsafe), "unavailable", None),
    ] {
        let response: Response<LayerBody<Pieces>> = refusal(&error, &settings).response(&settings);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{error}");
        let told = response.headers().get(RETRY_AFTER).map(|value| value.to_str().expect("text"));
        assert_eq!(told, retry_after, "{error}");
        let Read::Whole(body, _) = read_now(response.into_body(), usize::MAX) else {
            panic!("a whole answer");
        };
        let body = String::from_utf8(body.to_vec()).expect("JSON");
        assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
        assert!(!body.contains("redis"), "{body}");
    }
}

/// Goal: a mistake in the settings is found when the layer is made. Method: keep headers that
/// must never be replayed; begin with a lease of no time.
#[test]
fn settings_are_refused_at_once() {
    for name in ["set-cookie", "authorization", "transfer-encoding", "connection", "date"] {
        let error = layer().keep_header(HeaderName::from_static(name)).unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, "keep_header"));
    }
    assert!(layer().keep_header(HeaderName::from_static("x-charge-id")).is_ok());
    let nothing = BeginOptions::new().lease_duration(Duration::ZERO);
    assert_eq!(layer().begin(nothing).unwrap_err().code(), ErrorCode::InvalidOption);
}

/// Goal: a tenant's name is in no log. Method: print a scope and a layer.
#[test]
fn debug_output_names_nobody() {
    let source = ScopeSource::named("acct_1042");
    assert!(!format!("{source:?} {:?}", layer()).contains("acct_1042"));
}
