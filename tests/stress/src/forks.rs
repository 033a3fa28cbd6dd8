//! A fork in the middle of it all: the child is told that the engine is not its own.
#![allow(unsafe_code, reason = "forks")]

use oncegate::{BeginOptions, Engine, Error, ErrorCode, Quota, Request, Scope};

use crate::site::{Site, secret};

/// Forks, and checks that every call of the child is refused.
pub(crate) fn child_is_refused(site: &Site) {
    let request = site.request(0);
    // SAFETY: other threads do not exist in the child, which makes calls that are refused at
    // once, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: an alarm in this process, whose default action ends it if it hangs.
        unsafe { libc::alarm(60) };
        let answered = answered(&site.engine, &request);
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(answered) };
    }
    assert!(child > 0, "no child");
    let mut status = 0;
    // SAFETY: waits for a child of this process, into a status that lives here.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    let exit = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    assert_eq!(exit, Some(0), "how many calls of the child were answered");
}

/// How many calls did not answer `Forked`.
fn answered(engine: &Engine, request: &Request<'_>) -> i32 {
    let scope = Scope::single_tenant();
    let calls = [
        engine.begin(request).map(drop),
        engine.begin_with(request, &BeginOptions::new()).map(drop),
        engine.prepare(request).map(drop),
        engine.sweep(16).map(drop),
        engine.set_quota(scope, Quota::unlimited()),
        engine.quota(scope).map(drop),
        engine.stats().map(drop),
        engine.rotate_secret(secret(1)),
        engine.finish_rotation(),
    ];
    let refused = |call: &Result<(), Error>| {
        call.as_ref().is_err_and(|error| error.code() == ErrorCode::Forked)
    };
    calls.iter().filter(|call| !refused(call)).count() as i32
}
