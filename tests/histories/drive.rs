//! Drives the threads of a run through their programs, and makes histories of their logs.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Engine, Error, Failure, Join, Lease, OnConflict, Outcome, Payload,
    Request, Resolution, Scope, Secret,
};

use crate::clock::hold_up;
use crate::history::{Ask, Event, History, Patience, Reach};
use crate::program::{Program, Step, Then};
use crate::record::{Log, Recorder, Stage, admission};
use crate::spec::{Answer, End, Verdict};

/// What one thread does with its program, from the start on.
pub(crate) fn run(stage: &Stage, thread: usize, program: &Program, log: &mut Log) {
    let (seed, one_in) = program.hold_up;
    hold_up(seed, one_in);
    let recorder = Recorder { stage, thread, log };
    let mut actor = Actor { recorder, buffer: Outcome::default() };
    program.steps.iter().for_each(|step| actor.step(step));
    hold_up(0, 0);
}

/// A thread in its part.
struct Actor<'s, 'l> {
    recorder: Recorder<'s, 'l>,
    /// Every replay of this thread goes here.
    buffer: Outcome,
}

impl<'s> Actor<'s, '_> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Begin { key, payload, lease, window, lapse, patience, then } => {
                let ask = Ask::Begin {
                    payload: *payload,
                    lease: *lease,
                    lapse: *lapse,
                    patience: *patience,
                };
                let options = BeginOptions::new()
                    .lease_duration(ms(*lease))
                    .dedup_window(ms(*window))
                    .on_lapse(*lapse);
                if let Some(lease) = self.begin(*key, ask, &options, *payload, *patience) {
                    self.recorder.stage.give(*key, *lease.token(), *window);
                    self.hold(*key, lease, *window, then);
                }
            }
            Step::End { key, token, how } => {
                if let Some((token, window)) = self.recorder.stage.given(*key, *token) {
                    self.end(*key, token, window, how);
                }
            }
            Step::Resolve { key, verdict } => self.resolve(*key, verdict),
            Step::Sweep { slots } => {
                let swept = self.recorder.aside(|engine| engine.sweep(*slots));
                self.expect(swept.map(|_| ()));
            }
            Step::Advance { ms } => self.recorder.advance(*ms),
            Step::Fill { from, records } => self.fill(*from, *records),
            Step::Rotate { secret } => {
                let secret = Secret::from_bytes(&[*secret; 32]).expect("32 bytes");
                // Refused where another rotation is under way.
                let _ = self.recorder.aside(|engine| engine.rotate_secret(secret));
            }
            Step::FinishRotation => {
                // Refused where none is, or records are left from before.
                let _ = self.recorder.aside(Engine::finish_rotation);
            }
            Step::Yield => std::thread::yield_now(),
        }
    }

    fn begin(
        &mut self,
        key: usize,
        ask: Ask,
        options: &BeginOptions,
        payload: usize,
        patience: Patience,
    ) -> Option<Lease<'s>> {
        let name = [b'k', key as u8];
        let payload = [Payload::none(), Payload::raw(b"other")][payload];
        let request = Request::new(Scope::single_tenant(), "op", &name).expect("short");
        let request = request.payload(payload);
        let recorder = &mut self.recorder;
        match patience {
            Patience::None => {
                let buffer = &mut self.buffer;
                let prepared = recorder.stage.engine_of(recorder.thread).prepare(&request);
                let prepared = prepared.expect("a valid request");
                recorder.call(
                    key,
                    ask,
                    |engine| engine.begin_into(&prepared, options, buffer),
                    admission,
                )
            }
            Patience::Wait(limit) => {
                let options = options.on_conflict(OnConflict::Wait(ms(limit)));
                let begin = |engine: &'s Engine| engine.begin_with(&request, &options);
                recorder.call(key, ask, begin, admission)
            }
            Patience::Join => {
                let join = |engine: &'s Engine| block_on(engine.join(&request, options));
                recorder.call(key, ask, join, admission)
            }
            Patience::Glance => {
                let glance = |engine: &'s Engine| glance(engine.join(&request, options));
                recorder.call(key, ask, glance, |glanced| match glanced {
                    Some(ready) => admission(ready),
                    None => (Answer::Dropped, None, None),
                })
            }
        }
    }

    /// Holds an attempt, and does with it what comes next.
    fn hold(&mut self, key: usize, lease: Lease<'s>, window: u64, then: &[Then]) {
        let token = *lease.token();
        let mut guard = Some(lease);
        for then in then {
            match then {
                Then::Yield => std::thread::yield_now(),
                Then::Drop => {
                    let fence = token.fencing_token().get();
                    let ask = Ask::End { token: fence, window, how: End::Drop };
                    let lease = guard.take();
                    self.recorder.call(key, ask, |_| drop(lease), |()| (Answer::Dropped, None, ()));
                }
                Then::End(how) => self.end(key, token, window, how),
            }
        }
        if let Some(lease) = guard {
            let _ = lease.into_token();
        }
    }

    fn end(&mut self, key: usize, token: oncegate::LeaseToken, window: u64, how: &End) {
        let ask = Ask::End { token: token.fencing_token().get(), window, how: how.clone() };
        let call = |engine: &Engine| match how.clone() {
            End::Complete(outcome) => engine.complete(&token, &outcome).map(Answer::Completed),
            End::Terminal(outcome) => done(engine.fail(&token, Failure::terminal(outcome))),
            End::Retry { delay_us: None } => done(engine.abandon(&token)),
            End::Retry { delay_us: Some(us) } => {
                let delay = Duration::from_micros(us);
                done(engine.fail(&token, Failure::retryable_after(delay)))
            }
            End::GiveUp => done(engine.fail(&token, Failure::unknown())),
            End::Renew { lease_us } => {
                engine.renew(&token, Duration::from_micros(lease_us)).map(|_| Answer::Done)
            }
            End::Drop => unreachable!("a token is not dropped"),
        };
        self.recorder.call(key, ask, call, told);
    }

    fn resolve(&mut self, key: usize, verdict: &Verdict) {
        let name = [b'k', key as u8];
        let request = Request::new(Scope::single_tenant(), "op", &name).expect("short");
        let resolution = match verdict.clone() {
            Verdict::Succeeded(outcome) => Resolution::Succeeded(outcome),
            Verdict::Failed(outcome) => Resolution::Failed(outcome),
            Verdict::RunAgain => Resolution::RunAgain,
        };
        let call = |engine: &Engine| done(engine.resolve(&request, resolution));
        self.recorder.call(key, Ask::Resolve(verdict.clone()), call, told);
    }

    /// Other keys, which come and go, and take the oldest records' places.
    fn fill(&mut self, from: u64, records: u64) {
        for number in from..from + records {
            self.recorder.aside(|engine| fill_one(engine, number, 24, None));
        }
    }

    fn expect(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.recorder.log.broken = Some(error.to_string());
        }
    }
}

/// Begins and completes one record that nobody asks for again.
pub(crate) fn fill_one(engine: &Engine, number: u64, bytes: usize, window: Option<Duration>) {
    let name = number.to_le_bytes();
    let request = Request::new(Scope::single_tenant(), "fill", &name).expect("short");
    let options =
        window.map_or(BeginOptions::new(), |window| BeginOptions::new().dedup_window(window));
    // Under `Reject` the newcomer may be refused.
    if let Ok(Admission::Admitted(lease)) = engine.begin_with(&request, &options) {
        // The lease may have lapsed, if the clock was moved.
        let _ = lease.complete(&Outcome::new(200, vec![7; bytes]));
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn done(result: Result<(), Error>) -> Result<Answer, Error> {
    result.map(|()| Answer::Done)
}

fn told(result: Result<Answer, Error>) -> (Answer, Option<crate::history::Grant>, ()) {
    (result.unwrap_or_else(|error| Answer::Refused(error.code())), None, ())
}

type Begun<'e> = Result<Admission<'e>, Error>;

/// Polls until there is an answer; sleeps in between.
fn block_on<'e>(join: Join<'e, '_>) -> Begun<'e> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut join = pin!(join);
    loop {
        match join.as_mut().poll(&mut context) {
            Poll::Ready(begun) => return begun,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Polls once, and drops the future.
fn glance<'e>(join: Join<'e, '_>) -> Option<Begun<'e>> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(join).poll(&mut context) {
        Poll::Ready(begun) => Some(begun),
        Poll::Pending => None,
    }
}

/// Makes a history of each key.
pub(crate) fn histories(
    template: &History,
    keys: usize,
    logs: &[Log],
    moved: Vec<u64>,
) -> Vec<History> {
    let mut times = moved;
    times.push(1);
    times.extend(logs.iter().flat_map(|log| &log.times));
    times.sort_unstable();
    times.dedup();
    let events = || logs.iter().flat_map(|log| &log.events);
    // When each call was invoked, and how far those go that were invoked by then.
    let mut reach: Vec<(u64, Reach)> = events()
        .map(|(_, event)| (event.invoked, event.reach))
        .chain(logs.iter().flat_map(|log| log.others.iter().copied()))
        .collect();
    reach.sort_unstable();
    let mut farthest = Reach { returned: 0, to: 0 };
    for (_, reach) in &mut reach {
        let (returned, to) = (farthest.returned.max(reach.returned), farthest.to.max(reach.to));
        farthest = Reach { returned, to };
        *reach = farthest;
    }
    let reach_of = |event: &Event| {
        let before = reach.partition_point(|(invoked, _)| *invoked < event.returned);
        reach[before - 1].1
    };
    let of_key = |key: usize| {
        let of_key = events().filter(|(of, _)| *of == key);
        let mut events: Vec<Event> =
            of_key.map(|(_, event)| Event { reach: reach_of(event), ..event.clone() }).collect();
        events.sort_by_key(|event| event.invoked);
        History { key, times: times.clone(), events, ..template.clone() }
    };
    (0..keys).map(of_key).collect()
}
