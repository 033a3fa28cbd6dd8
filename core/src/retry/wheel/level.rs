//! A level: buckets of one width, and a bitmap of those that hold something.

use super::pool::{CHUNK, Chain, Pool};

/// Buckets side by side. Which one a due time belongs to is a digit of it.
pub(super) struct Level {
    /// How many bits of the due time are below the digit.
    shift: u32,
    /// One bit for each bucket: whether it holds anything.
    full: Box<[u64]>,
    /// One bit for each word of `full`: whether it is not zero.
    summary: u64,
    buckets: Box<[Chain]>,
}

impl Level {
    /// A level whose digit has `bits` bits above `shift` others: from 1 to 12.
    pub(super) fn new(shift: u32, bits: u32) -> Self {
        let buckets = 1 << bits;
        Self {
            shift,
            full: vec![0; usize::div_ceil(buckets, 64)].into_boxed_slice(),
            summary: 0,
            buckets: vec![Chain::default(); buckets].into_boxed_slice(),
        }
    }

    /// The bucket of the tick `at`.
    #[inline]
    pub(super) fn digit(&self, at: u64) -> usize {
        (at >> self.shift) as usize & (self.buckets.len() - 1)
    }

    /// The first tick of bucket `digit`, in the same turn of this level as `at`.
    #[inline]
    pub(super) fn start(&self, at: u64, digit: usize) -> u64 {
        let turn = (self.buckets.len() as u64) << self.shift;
        (at & !(turn - 1)) | (digit as u64) << self.shift
    }

    #[inline]
    pub(super) fn push(&mut self, pool: &mut Pool, digit: usize, word: u64) {
        let bucket = &mut self.buckets[digit];
        if bucket.is_empty() {
            self.full[digit / 64] |= 1 << (digit % 64);
            self.summary |= 1 << (digit / 64);
        }
        bucket.push(pool, word);
    }

    #[inline]
    pub(super) fn pop(&mut self, pool: &mut Pool, digit: usize) -> Option<u64> {
        let word = self.buckets[digit].pop(pool)?;
        self.note_taken(digit);
        Some(word)
    }

    /// Takes words of a bucket that lie together, `most` of them at most: gives how many.
    #[inline]
    pub(super) fn pop_many(
        &mut self,
        pool: &mut Pool,
        digit: usize,
        most: usize,
        out: &mut [u64; CHUNK],
    ) -> usize {
        let count = self.buckets[digit].pop_many(pool, most, out);
        self.note_taken(digit);
        count
    }

    #[inline]
    fn note_taken(&mut self, digit: usize) {
        if self.buckets[digit].is_empty() {
            self.full[digit / 64] &= !(1 << (digit % 64));
            if self.full[digit / 64] == 0 {
                self.summary &= !(1 << (digit / 64));
            }
        }
    }

    #[inline]
    pub(super) fn bucket(&self, digit: usize) -> &Chain {
        &self.buckets[digit]
    }

    /// The first bucket from `digit` on that holds anything.
    #[inline]
    pub(super) fn first_from(&self, digit: usize) -> Option<usize> {
        if self.summary == 0 || digit >= self.buckets.len() {
            return None;
        }
        let word = digit / 64;
        let here = self.full[word] & (u64::MAX << (digit % 64));
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        // Twice, since a shift by 64 is none.
        let beyond = self.summary & (u64::MAX << word << 1);
        if beyond == 0 {
            return None;
        }
        let word = beyond.trailing_zeros() as usize;
        Some(word * 64 + self.full[word].trailing_zeros() as usize)
    }
}

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
