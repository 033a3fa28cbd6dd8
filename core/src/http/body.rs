//! Bodies that the layer has read, wholly or in part, or left alone.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// The body of a request or response that went through the layer.
///
/// It gives what the layer has read in one piece, and then what it has not. Its length is known
/// where the length of the body below is.
///
/// ```
/// use http_body::Body;
/// use oncegate::http::LayerBody;
///
/// fn is_body<T: Body<Data = bytes::Bytes>>() {}
/// fn check<B: Body<Data = bytes::Bytes>>() {
///     is_body::<LayerBody<B>>();
/// }
/// ```
pub struct LayerBody<B> {
    front: Bytes,
    rest: Option<Pin<Box<B>>>,
    trailers: Option<HeaderMap>,
}

impl<B> LayerBody<B> {
    /// A body that is here already.
    pub(super) fn whole(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self { front: bytes, rest: None, trailers }
    }

    /// What was read of a body, and the body.
    pub(super) fn partial(front: Bytes, rest: Pin<Box<B>>) -> Self {
        Self { front, rest: Some(rest), trailers: None }
    }

    /// A body that nobody has read.
    pub(super) fn untouched(body: B) -> Self {
        Self::partial(Bytes::new(), Box::pin(body))
    }
}

impl<B: Body<Data = Bytes>> Body for LayerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if !this.front.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.front)))));
        }
        if let Some(rest) = &mut this.rest {
            return rest.as_mut().poll_frame(context);
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        let rest_ended = self.rest.as_ref().is_none_or(|rest| rest.is_end_stream());
        self.front.is_empty() && self.trailers.is_none() && rest_ended
    }

    fn size_hint(&self) -> SizeHint {
        let front = self.front.len() as u64;
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), |rest| rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(front));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(front));
        }
        hint
    }
}

impl<B> fmt::Debug for LayerBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerBody")
            .field("bytes_read", &self.front.len())
            .field("is_whole", &self.rest.is_none())
            .finish_non_exhaustive()
    }
}

/// What came of reading a body.
pub(super) enum Read<B> {
    Whole(Bytes, Option<HeaderMap>),
    /// It is longer than the limit: what was read, and the body.
    Over(Bytes, Pin<Box<B>>),
    /// It ended in an error.
    Broken,
}

/// Reads `body` to its end, or until it is longer than `limit` bytes.
///
/// Holds at most `limit` bytes and one frame.
pub(super) async fn read<B: Body<Data = Bytes>>(body: B, limit: usize) -> Read<B> {
    let mut body = Box::pin(body);
    if body.size_hint().lower() > limit as u64 {
        return Read::Over(Bytes::new(), body);
    }
    let mut bytes = BytesMut::new();
    let mut trailers = None;
    loop {
        let frame = match poll_fn(|context| body.as_mut().poll_frame(context)).await {
            None => return Read::Whole(bytes.freeze(), trailers),
            Some(Err(_)) => return Read::Broken,
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
        }
        if bytes.len() > limit {
            return Read::Over(bytes.freeze(), body);
        }
    }
}
