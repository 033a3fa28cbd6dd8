//! A set of waits, as a program would hold it.

use std::ptr;

use oncegate_ffi::*;

use crate::support::{Engine, Refused, Room, SOON, call, request, zeroed};

/// A set, which ends with the test.
pub(crate) struct Set(pub(crate) *mut RawWaits);

// SAFETY: any thread may use a handle.
unsafe impl Send for Set {}
// SAFETY: the same.
unsafe impl Sync for Set {}

impl Set {
    pub(crate) fn open(engine: &Engine) -> Self {
        let mut waits = ptr::null_mut();
        // SAFETY: what is pointed to lives for the call, here and below.
        call(|error| unsafe { oncegate_waits_open(engine.0, &raw mut waits, error) })
            .expect("a set");
        Self(waits)
    }

    pub(crate) fn submit_with(
        &self,
        raw: &RawRequest,
        wait_ms: u64,
        data: u64,
    ) -> Result<u64, Refused> {
        let struct_size = size_of::<RawBeginOptions>();
        let options = RawBeginOptions { struct_size, wait_ms, ..zeroed() };
        let (options, mut id) = (&raw const options, 0);
        // SAFETY: as above.
        call(|error| unsafe {
            oncegate_waits_submit(self.0, raw, options, data, &raw mut id, error)
        })?;
        Ok(id)
    }

    pub(crate) fn submit(&self, key: &str, data: u64) -> u64 {
        self.submit_with(&request(key), 0, data).expect("submitted")
    }

    pub(crate) fn cancel(&self, id: u64) -> Result<(), Refused> {
        // SAFETY: as above.
        call(|error| unsafe { oncegate_waits_cancel(self.0, id, error) })
    }

    pub(crate) fn take_into(
        &self,
        timeout_ms: u64,
        most: usize,
        room: &mut Room,
    ) -> Result<Vec<Completion>, Refused> {
        let mut completions = vec![Completion::default(); most];
        let (at, buffer, mut count) = (completions.as_mut_ptr(), room.raw(), usize::MAX);
        // SAFETY: as above.
        call(|error| unsafe {
            oncegate_waits_take(self.0, timeout_ms, at, most, buffer, &raw mut count, error)
        })?;
        completions.truncate(count);
        Ok(completions)
    }

    /// The one answer that there is, within `timeout_ms`.
    #[track_caller]
    pub(crate) fn take_one(&self, timeout_ms: u64) -> Completion {
        let taken = self.take_into(timeout_ms, 8, &mut Room::new(4_096)).expect("open");
        let [one] = taken[..] else { panic!("{} answers", taken.len()) };
        assert_eq!(one.admission.status, ONCEGATE_OK);
        one
    }

    /// One of the answers that come, within a long time.
    #[track_caller]
    pub(crate) fn take_next(&self) -> Completion {
        let taken = self.take_into(SOON, 1, &mut Room::new(4_096)).expect("open");
        let [one] = taken[..] else { panic!("no answer") };
        assert_eq!(one.admission.status, ONCEGATE_OK);
        one
    }

    #[track_caller]
    pub(crate) fn is_empty(&self) -> bool {
        self.take_into(0, 8, &mut Room::new(4_096)).expect("open").is_empty()
    }

    pub(crate) fn descriptor(&self) -> Result<i32, Refused> {
        let mut fd = -1;
        // SAFETY: as above.
        call(|error| unsafe { oncegate_waits_descriptor(self.0, &raw mut fd, error) })?;
        Ok(fd)
    }

    pub(crate) fn close(&self) -> Result<(), Refused> {
        // SAFETY: as above.
        call(|error| unsafe { oncegate_waits_close(self.0, error) })
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        // SAFETY: as above. `ONCEGATE_BAD_HANDLE` is what a test that closed it wants.
        unsafe { oncegate_waits_close(self.0, ptr::null_mut()) };
    }
}

/// A set of an engine whose time stands still until it is moved.
pub(crate) fn set_of_manual() -> (Engine, Set) {
    let engine = Engine::manual();
    let set = Set::open(&engine);
    (engine, set)
}
