//! Driving: who looks after what is due, where no worker waits for it in a thread of its own.

use std::sync::Arc;

use oncegate::Driven;

use crate::convert::millis_up;
use crate::engine::{self, RawEngine};
use crate::entry::{ErrorInfo, entry};
use crate::handles::{Handles, Held, forks, no_child};
use crate::raw::{Out, Plain, handle_out};
use crate::status::{Refusal, Status};

/// What one look at what is due did.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RawDriven {
    /// How many records were looked at, because something of theirs was due.
    pub looked_at: u64,
    /// How many attempts are ready for workers now.
    pub ready: u64,
    /// How long until something is due again, in milliseconds; `UINT64_MAX`: nothing is.
    pub due_in_ms: u64,
    /// 1: the limit ended it, and there may be more.
    pub more: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawDriven {}

/// A descriptor for an event loop, behind a handle. Any thread may use it.
pub struct RawDue {
    _opaque: [u8; 0],
}

pub(crate) static DUES: Handles<Due> = Handles::new("due", 0xe3);

/// # Safety
///
/// None: handles are looked up. It is unsafe so that it can be named in `entry!`.
unsafe fn held(_field: &'static str, handle: *const RawDue) -> Result<Held<Due>, Refusal> {
    let held = DUES.enter(handle)?;
    no_child("due", held.born)?;
    Ok(held)
}

/// Looks at what is due, at most `limit` records: makes attempts ready, wakes workers for them,
/// sees to leases that have lapsed, and sweeps a part of the table now and then.
///
/// Never blocks. Needed only where no worker waits in `oncegate_next_attempt` with a timeout, no
/// thread of the engine drives (see `driver` of the options), and no descriptor is polled. `driven`
/// may be `NULL`. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_advance(
    engine: *const RawEngine,
    limit: usize,
    driven: *mut RawDriven,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = engine::held; driven = Out::new_or_none; => {
        tell(driven, engine.engine.advance(limit)?);
        Ok(())
    })
}

/// Opens a descriptor that is readable when something is due, for an event loop, and gives its
/// handle, which `oncegate_due_close` ends.
///
/// The engine lives on until then, even where its own handle is closed before. `ONCEGATE_OS`: no
/// descriptor is left; `ONCEGATE_TOO_MANY_HANDLES`: there are 256 of them. It belongs to the
/// process that opened it: in a forked child its functions return `ONCEGATE_FORKED`. Linux only:
/// `ONCEGATE_UNSUPPORTED` elsewhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_due_open(
    engine: *const RawEngine,
    due: *mut *mut RawDue,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = engine::held; due = handle_out; => {
        let opened = kernel::Descriptor::open(&engine.engine)?;
        due.write(DUES.insert(Due { descriptor: opened, born: forks() })?);
        Ok(())
    })
}

/// Closes a descriptor. `NULL` is fine, and nothing happens. Take it out of event loops before: its
/// number may be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_due_close(due: *mut RawDue, error: *mut ErrorInfo) -> Status {
    entry!(error; => {
        if !due.is_null() {
            drop(DUES.take(due.cast_const(), |_| {})?);
        }
        Ok(())
    })
}

/// Gives the descriptor, for `poll` and its like. Never read from it, and never close it: it is the
/// handle's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_due_descriptor(
    due: *const RawDue,
    fd: *mut i32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; due = held; fd = Out::new; => {
        fd.write(due.descriptor.number());
        Ok(())
    })
}

/// `oncegate_advance`, for when the descriptor is readable: it arms the descriptor again, for what
/// is due next. Then ask for attempts with a timeout of zero. `driven` may be `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_due_advance(
    due: *const RawDue,
    limit: usize,
    driven: *mut RawDriven,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; due = held; driven = Out::new_or_none; => {
        tell(driven, due.descriptor.advance(limit)?);
        Ok(())
    })
}

fn tell(out: Option<Out<RawDriven>>, driven: Driven) {
    if let Some(out) = out {
        out.write(RawDriven {
            looked_at: driven.looked_at as u64,
            ready: driven.ready as u64,
            due_in_ms: driven.due_in.map_or(u64::MAX, millis_up),
            more: u32::from(driven.more),
            reserved: 0,
        });
    }
}

/// What a descriptor's handle stands for.
pub(crate) struct Due {
    descriptor: kernel::Descriptor,
    born: u64,
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::os::fd::{AsFd, AsRawFd, RawFd};

    use oncegate::{Driven, DueDescriptor, Engine};

    use super::Arc;
    use crate::status::Refusal;

    pub(super) struct Descriptor(DueDescriptor);

    impl Descriptor {
        pub(super) fn open(engine: &Arc<Engine>) -> Result<Self, Refusal> {
            Ok(Self(engine.due_descriptor()?))
        }

        pub(super) fn number(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }

        pub(super) fn advance(&self, limit: usize) -> Result<Driven, Refusal> {
            Ok(self.0.advance(limit)?)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use oncegate::{Driven, Engine};

    use super::Arc;
    use crate::status::{ONCEGATE_UNSUPPORTED, Refusal};

    /// There is none on this system, so that nothing below is ever called.
    pub(super) struct Descriptor(std::convert::Infallible);

    impl Descriptor {
        pub(super) fn open(_engine: &Arc<Engine>) -> Result<Self, Refusal> {
            Err(Refusal::new(ONCEGATE_UNSUPPORTED, "descriptor", "limit: Linux"))
        }

        pub(super) fn number(&self) -> i32 {
            match self.0 {}
        }

        pub(super) fn advance(&self, _limit: usize) -> Result<Driven, Refusal> {
            match self.0 {}
        }
    }
}
