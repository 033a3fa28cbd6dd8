//! Batches: requests that are begun in one call, each answered for itself.

use oncegate_ffi::*;

use super::memory::{Place, first};
use super::requests::{Asked, options, request, stored};
use super::world::{Kind, World, call};

impl World<'_> {
    /// Two requests, of which one may be wrong, or the same as the other.
    pub(super) fn begin_batch(&mut self) {
        let engine = self.handle(Kind::Engine);
        let asked: [Asked; MOST] = std::array::from_fn(|_| request(&mut self.input));
        let raw = asked.each_ref().map(|one| one.request.value);
        let mut how = options(&mut self.input, true);
        if how.options.value.wait_ms == u64::MAX / 2 {
            // A batch never waits, so that nobody looks at how long.
            how.late = 0;
        }
        let buffer = self.room.aim(&mut self.input);
        let mut place = Place::<[RawAdmission; MOST]>::new();
        let admissions = place.at(&mut self.input);
        let sizes = raw.each_ref().map(|one| one.struct_size);
        let uneven = sizes.iter().any(|size| *size != size_of::<RawRequest>());
        let (count, huge) = match self.input.mistake(3) {
            None => (MOST, 0),
            Some(0) => (0, 0),
            Some(_) => (65_537, ONCEGATE_BAD_SIZE),
        };
        let own = size_of::<RawRequest>();
        if sizes[0] != own && (72..own + 64).contains(&sizes[0]) && count == MOST {
            // The array would be read with another stride than it has.
            return;
        }
        let at = admissions.value.cast::<RawAdmission>();
        let options = &raw const how.options.value;
        let status = call!(
            self,
            oncegate_begin_batch(engine.at(), raw.as_ptr(), count, options, buffer.value, at)
        );
        let call = "oncegate_begin_batch";
        let uneven = if uneven && count == MOST { ONCEGATE_BAD_SIZE } else { 0 };
        let null = if count == 0 { 0 } else { admissions.refused };
        let given = [engine.refused, huge, uneven, how.refused, buffer.refused, null];
        assert_eq!(status, first(&given), "{call}");
        if status != 0 {
            self.room.check(call, status);
            assert!(place.is_untouched(), "{call}: {status}");
            return;
        }
        if count == 0 {
            assert!(place.is_untouched(), "{call}: of nothing");
            return;
        }
        let bytes = self.room.check_batch(call);
        for (index, one) in asked.iter().enumerate() {
            let told = place.nth(index);
            let wrong = first(&[one.refused, one.late, how.late]);
            let model = &mut self.engines[engine.which];
            match told.status {
                0 => {
                    assert_eq!(wrong, 0, "{call}: {told:?}");
                    let replayed = told.verdict == ONCEGATE_REPLAYED;
                    let found = replayed.then(|| stored(&told.outcome, bytes));
                    model.began(one.key, one.payload, &told, found);
                }
                ONCEGATE_BUFFER_TOO_SMALL => assert!(wrong == 0 && told.verdict == 0, "{call}"),
                ONCEGATE_EXHAUSTED => assert!(model.ended, "{call}: time has not ended"),
                status => {
                    assert!(status == wrong || status == how.late, "{call}: {told:?}");
                    assert_eq!(told.verdict, 0, "{call}: {told:?}");
                }
            }
        }
    }
}

const MOST: usize = 2;
