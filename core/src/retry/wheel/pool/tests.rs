//! Chains against a queue of the standard library.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::retry::wheel::tests::seeded;

/// Goal: a chain is a queue, and gives its memory back. Method: pushes, single and many pops at
/// random, beside a `VecDeque`; at the end no chunk is in use.
#[test]
fn a_chain_is_a_queue() {
    proptest!(seeded(256), |(steps in prop::collection::vec((0_u8..4, 1_usize..80), 1..200))| {
        let (mut pool, mut chain, mut model) = (Pool::default(), Chain::default(), VecDeque::new());
        let mut next = 0;
        for (kind, count) in steps {
            match kind {
                0 | 1 => for _ in 0..count {
                    chain.push(&mut pool, next);
                    model.push_back(next);
                    next += 1;
                },
                2 => for _ in 0..count {
                    prop_assert_eq!(chain.pop(&mut pool), model.pop_front());
                },
                _ => {
                    prop_assert!(chain.front(&pool).iter().eq(model.iter().take(
                        chain.front(&pool).len(),
                    )));
                    let mut out = [0; CHUNK];
                    let got = chain.pop_many(&mut pool, count, &mut out);
                    prop_assert!(got <= count && (got > 0 || model.is_empty()));
                    prop_assert!(out[..got].iter().copied().eq(model.drain(..got)));
                }
            }
            prop_assert_eq!(chain.len(), model.len());
            prop_assert!(pool.chunks_in_use() <= model.len() / CHUNK + 2);
        }
        while let Some(word) = chain.pop(&mut pool) {
            prop_assert_eq!(Some(word), model.pop_front());
        }
        prop_assert!(model.is_empty() && chain.is_empty());
        prop_assert_eq!(pool.chunks_in_use(), 0);
    });
}

/// Goal: memory is used again. Method: many chains one after the other; the pool is as large as
/// the largest of them.
#[test]
fn chunks_are_used_again() {
    let mut pool = Pool::default();
    for round in 0..100 {
        let mut chain = Chain::default();
        (0..SLAB * CHUNK).for_each(|word| chain.push(&mut pool, word as u64));
        assert_eq!(pool.slabs.len(), 1, "round {round}");
        while chain.pop(&mut pool).is_some() {}
    }
    assert!(pool.bytes() >= SLAB * CHUNK * 8 && pool.bytes() < SLAB * CHUNK * 9);
}
