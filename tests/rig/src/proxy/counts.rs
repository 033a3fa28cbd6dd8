//! What has gone through a proxy.

/// What has gone through a proxy since it began.
///
/// Everything is counted before it can be seen outside: who has read a reply finds it counted, and
/// the request before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections of clients that were accepted.
    pub connections: u64,
    /// Connections that have not ended.
    pub open: u64,
    /// Requests that arrived from clients, those that were dropped included.
    pub requests: u64,
    /// Replies that arrived from the server, those that were dropped or are held included. By
    /// then their requests were executed. A subscription has one for each channel.
    pub replies: u64,
    /// What the server sent without a request.
    pub pushes: u64,
    /// Requests that a rule dropped.
    pub dropped_requests: u64,
    /// Replies that a rule dropped.
    pub dropped_replies: u64,
    /// Requests and replies that a rule has held, those that were released included.
    pub held: u64,
    /// Bytes passed on to the server.
    pub upstream: u64,
    /// Bytes passed on to clients.
    pub downstream: u64,
    /// Pieces in which they were passed on, both directions together.
    pub pieces: u64,
    /// Bytes that toxics took away, both directions together.
    pub swallowed: u64,
    /// Pieces that a toxic of time held back before they went on.
    pub delayed: u64,
    /// Connections that were reset by the proxy.
    pub resets: u64,
}
