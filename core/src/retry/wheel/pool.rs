//! Chunks and chains: where the entries of all buckets lie.
//!
//! A chain is a queue of words in chunks of one pool. Words are appended to its last chunk and
//! taken from its first one, so that whoever files or drains a bucket touches memory in order: a
//! list that is linked from entry to entry waits for memory at every step. Chunks are named by
//! their index, and link to the next one by its index.

use crate::region::prefetch;

/// The chunks of one wheel.
#[derive(Default)]
pub(super) struct Pool {
    /// Memory comes in slabs, which are never moved: growing copies nothing.
    slabs: Vec<Box<[[u64; CHUNK]]>>,
    /// For each chunk of a chain the next one, and for each free one the next free one.
    links: Vec<u32>,
    /// The free chunk that is used next, and how many there are.
    free: u32,
    free_count: usize,
}

impl Pool {
    /// Bytes that the pool has asked for, whether they are used or not.
    pub(super) fn bytes(&self) -> usize {
        self.slabs.len() * SLAB * size_of::<[u64; CHUNK]>()
            + self.links.capacity() * size_of::<u32>()
    }

    /// How many chunks are in chains.
    #[cfg(test)]
    pub(super) fn chunks_in_use(&self) -> usize {
        self.links.len() - self.free_count
    }

    fn take(&mut self) -> u32 {
        if self.free_count == 0 {
            return self.fresh();
        }
        let chunk = self.free;
        self.free = self.links[chunk as usize];
        self.free_count -= 1;
        self.prefetch(self.free);
        chunk
    }

    #[cold]
    fn fresh(&mut self) -> u32 {
        let chunk = self.links.len();
        if chunk == self.slabs.len() * SLAB {
            self.slabs.push(vec![[0; CHUNK]; SLAB].into_boxed_slice());
        }
        self.links.push(0);
        // Entries have ids of 28 bits, each in one chain at most: there are fewer chunks than that.
        chunk as u32
    }

    fn give_back(&mut self, chunk: u32) {
        self.links[chunk as usize] = self.free;
        self.free = chunk;
        self.free_count += 1;
    }

    /// Asks the processor for the words of a chunk: whoever drains a bucket that was filled long
    /// ago would wait for each chunk in turn.
    #[inline]
    fn prefetch(&self, chunk: u32) {
        let words = &self.slabs[chunk as usize / SLAB][chunk as usize % SLAB];
        words.iter().step_by(LINE).for_each(prefetch::word);
    }

    #[inline]
    fn words(&mut self, chunk: u32) -> &mut [u64; CHUNK] {
        &mut self.slabs[chunk as usize / SLAB][chunk as usize % SLAB]
    }
}

/// A queue of words. Empty, it has no chunk.
#[derive(Clone, Copy, Default)]
pub(super) struct Chain {
    head: u32,
    tail: u32,
    /// How many words of the first chunk have been taken.
    read: u32,
    len: u32,
}

impl Chain {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn push(&mut self, pool: &mut Pool, word: u64) {
        let at = (self.read + self.len) as usize % CHUNK;
        if at == 0 {
            let chunk = pool.take();
            if self.len == 0 {
                self.head = chunk;
            } else {
                pool.links[self.tail as usize] = chunk;
            }
            self.tail = chunk;
        }
        pool.words(self.tail)[at] = word;
        self.len += 1;
    }

    #[inline]
    pub(super) fn pop(&mut self, pool: &mut Pool) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let word = pool.words(self.head)[self.read as usize];
        self.took(pool, 1);
        Some(word)
    }

    /// Takes the words that come next and lie together, `most` of them at most: gives how many.
    #[inline]
    pub(super) fn pop_many(
        &mut self,
        pool: &mut Pool,
        most: usize,
        out: &mut [u64; CHUNK],
    ) -> usize {
        let from = self.read as usize;
        let count = most.min(self.len as usize).min(CHUNK - from);
        if count == 0 {
            return 0;
        }
        out[..count].copy_from_slice(&pool.words(self.head)[from..from + count]);
        self.took(pool, count);
        count
    }

    /// The words that come next and lie together.
    #[inline]
    pub(super) fn front<'p>(&self, pool: &'p Pool) -> &'p [u64] {
        let (from, most) = (self.read as usize, self.len as usize);
        if most == 0 {
            return &[];
        }
        let chunk = &pool.slabs[self.head as usize / SLAB][self.head as usize % SLAB];
        &chunk[from..CHUNK.min(from + most)]
    }

    /// Of the first chunk `count` more words have been taken.
    #[inline]
    fn took(&mut self, pool: &mut Pool, count: usize) {
        self.len -= count as u32;
        self.read += count as u32;
        if self.len == 0 {
            pool.give_back(self.head);
            self.read = 0;
        } else if self.read as usize == CHUNK {
            let next = pool.links[self.head as usize];
            pool.give_back(self.head);
            self.head = next;
            self.read = 0;
            if self.len as usize > CHUNK {
                pool.prefetch(pool.links[next as usize]);
            }
        }
    }
}

/// Words of a chunk: few enough that a bucket of few timers wastes little, and enough that links
/// cost an eighth of a byte each. Even, since some chains hold pairs.
pub(super) const CHUNK: usize = if MODELLED { 2 } else { 32 };
/// Chunks of a slab: a quarter of a mebibyte.
const SLAB: usize = if MODELLED { 4 } else { 1 << 10 };
/// Words of a cache line.
const LINE: usize = 8;
pub(super) const MODELLED: bool = cfg!(any(oncegate_loom, oncegate_shuttle));

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
