//! Bodies that the layer has read, wholly or in part, or left alone.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_channel::oneshot;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::ending::Ending;

/// The body of a request or response that went through the layer.
///
/// It gives what the layer has read in one piece, and then what it has not. Its length is known
/// where the length of the body below is, and no trailers follow.
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
    rest: Option<Rest<B>>,
    trailers: Option<HeaderMap>,
    /// Who reads the rest to its end if the client does not.
    home: Option<oneshot::Sender<Rest<B>>>,
}

impl<B> LayerBody<B> {
    /// A body that is here already.
    pub(super) fn whole(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self { front: bytes, rest: None, trailers, home: None }
    }

    /// What was read of a body, and the body.
    pub(super) fn partial(front: Bytes, body: Pin<Box<B>>) -> Self {
        Self { front, rest: Some(Rest { body, ending: None }), trailers: None, home: None }
    }

    /// A body that nobody has read.
    pub(super) fn untouched(body: B) -> Self {
        Self::partial(Bytes::new(), Box::pin(body))
    }

    /// Whether nothing of it is still being made.
    pub(super) fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// Lets the rest end the attempt when it is done; if there is none, that is at once.
    pub(super) fn attach(&mut self, ending: Ending) {
        if let Some(rest) = &mut self.rest {
            rest.ending = Some(ending);
        }
    }

    /// Gives the rest back if this body is dropped before its end. `None`: it is whole.
    pub(super) fn hand_back(&mut self) -> Option<oneshot::Receiver<Rest<B>>> {
        self.rest.as_ref()?;
        let (home, back) = oneshot::channel();
        self.home = Some(home);
        Some(back)
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
            let polled = rest.poll_frame(context);
            if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
                this.rest = None;
                this.home = None;
            }
            return polled;
        }
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        let rest_ended = self.rest.as_ref().is_none_or(|rest| rest.body.is_end_stream());
        self.front.is_empty() && self.trailers.is_none() && rest_ended
    }

    fn size_hint(&self) -> SizeHint {
        let front = self.front.len() as u64;
        let nothing = SizeHint::with_exact(0);
        let rest = self.rest.as_ref().map_or(nothing, |rest| rest.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(front));
        // A body whose length is known is sent with its length, and then HTTP/1.1 has no trailers.
        if self.trailers.is_none()
            && let Some(upper) = rest.upper()
        {
            hint.set_upper(upper.saturating_add(front));
        }
        hint
    }
}

impl<B> Drop for LayerBody<B> {
    fn drop(&mut self) {
        if let (Some(rest), Some(home)) = (self.rest.take(), self.home.take()) {
            // Whoever wanted it may be gone, too; then it is dropped here.
            let _ = home.send(rest);
        }
    }
}

impl<B> fmt::Debug for LayerBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerBody")
            .field("bytes_read", &self.front.len())
            .field("is_whole", &self.is_whole())
            .finish_non_exhaustive()
    }
}

/// What nobody has read of a body.
pub(super) struct Rest<B> {
    // Dropped in this order: the next attempt may start when the body is gone.
    body: Pin<Box<B>>,
    ending: Option<Ending>,
}

impl<B: Body<Data = Bytes>> Rest<B> {
    /// Reads it to its end, for nobody but the handler that makes it.
    pub(super) async fn drain(mut self) {
        while let Some(Ok(_)) = poll_fn(|context| self.poll_frame(context)).await {}
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = self.body.as_mut().poll_frame(context);
        if let (Poll::Ready(Some(Err(_))), Some(ending)) = (&polled, &mut self.ending) {
            ending.broke();
        }
        polled
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
