//! A slot on its way from one node to another.

use super::{Cluster, my_id, owner};
use crate::{Error, Server, until};

/// A slot that is being moved. Until [`finish`](Self::finish) clients ask its old node, which
/// sends them on with `ASK` for the keys that it no longer has.
#[derive(Debug)]
#[must_use = "a migration that is not finished stays as it is"]
pub struct Migration<'a> {
    cluster: &'a Cluster,
    slot: String,
    from: &'a Server,
    to: &'a Server,
    to_id: String,
}

impl<'a> Migration<'a> {
    pub(super) fn begin(
        cluster: &'a Cluster,
        slot: u16,
        from: usize,
        to: usize,
    ) -> Result<Self, Error> {
        let (from, to) = (&cluster.nodes()[from], &cluster.nodes()[to]);
        let (from_id, to_id) = (my_id(from)?, my_id(to)?);
        let slot = slot.to_string();
        to.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id])?;
        from.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id])?;
        Ok(Self { cluster, slot, from, to, to_id })
    }

    /// Moves at most so many keys that the slot still has, and says how many there were.
    ///
    /// # Errors
    ///
    /// A node refuses.
    pub fn move_keys(&self, most: usize) -> Result<usize, Error> {
        let most = most.to_string();
        let ask = ["CLUSTER", "GETKEYSINSLOT", &self.slot, &most];
        let keys: Vec<String> = self.from.ask(&ask)?;
        for key in &keys {
            self.move_key(key)?;
        }
        Ok(keys.len())
    }

    /// Moves one key.
    ///
    /// # Errors
    ///
    /// A node refuses.
    pub fn move_key(&self, key: &str) -> Result<(), Error> {
        let port = self.to.port().to_string();
        let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "60000"];
        words.extend(self.to.own_credentials());
        words.extend(["KEYS", key]);
        self.from.ask(&words)
    }

    /// Gives the slot to its new node, and waits until all nodes that run know.
    ///
    /// # Errors
    ///
    /// Keys are left, or a node does not hear of it within [`PATIENCE`](crate::PATIENCE).
    pub fn finish(self) -> Result<(), Error> {
        let set = ["CLUSTER", "SETSLOT", &self.slot, "NODE", &self.to_id];
        // The new one first: were it the old one, nobody would have the slot in between.
        self.to.ask::<()>(&set)?;
        self.from.ask::<()>(&set)?;
        let slot = self.slot.parse().map_err(|error| Error::of("a slot", &error))?;
        until("all nodes know where the slot is", || {
            let knows = |node: &Server| {
                owner(node, slot).is_ok_and(|owner| owner.as_ref() == Some(&self.to_id))
            };
            self.cluster.running().all(knows).then_some(())
        })
    }
}
