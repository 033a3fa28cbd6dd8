//! Random programs, beside models that are plain lists and sums.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Time goes on; or the next step comes with an earlier time.
    Wait(u64),
    Back(u64),
    First,
    FirstEnds {
        succeeded: bool,
    },
    Withdraw(FailureKind),
    Start,
    End {
        succeeded: bool,
    },
    Drop,
    Store,
    FailedForGood(FailureKind),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop::sample::select(FailureKind::ALL.to_vec());
    let step = prop_oneof![
        2 => prop_oneof![0..40_u64, 0..1_500_u64, 0..30_000_u64].prop_map(Step::Wait),
        1 => (0..3_000_u64).prop_map(Step::Back),
        4 => Just(Step::First),
        3 => any::<bool>().prop_map(|succeeded| Step::FirstEnds { succeeded }),
        6 => kind.clone().prop_map(Step::Withdraw),
        2 => Just(Step::Start),
        3 => any::<bool>().prop_map(|succeeded| Step::End { succeeded }),
        2 => Just(Step::Drop),
        1 => Just(Step::Store),
        1 => kind.prop_map(Step::FailedForGood),
    ];
    prop::collection::vec(step, 1..120)
}

/// What a model is told. Times may go back.
trait Model {
    fn first(&mut self, _now: u64) {}
    fn first_ends(&mut self, _succeeded: bool, _now: u64) {}
    /// Whether a retry would be allowed at that time, if nothing happens until then.
    fn allows(&self, kind: FailureKind, now: u64) -> bool;
    /// Whether a retry is allowed; what it took is remembered under `id`.
    fn withdraw(&mut self, kind: FailureKind, id: usize, now: u64) -> bool;
    fn ends(&mut self, _id: usize, _succeeded: bool, _now: u64) {}
    fn never_started(&mut self, id: usize);
    fn failed_for_good(&mut self, _kind: FailureKind, _now: u64) {}
    fn left(&mut self, now: u64) -> f64;
}

/// Runs the program on both; the model says what is right.
fn agree(budget: &RetryBudget, model: &mut impl Model, program: &[Step], origin: Duration) {
    let levels = Levels::one(budget);
    let mut time = 0_u64;
    let mut firsts: Vec<Deposit> = Vec::new();
    let mut retries: Vec<(usize, Withdrawal)> = Vec::new();
    for (id, step) in program.iter().enumerate() {
        let now = origin + ms(time);
        match *step {
            Step::Wait(more) => time += more,
            Step::Back(less) => time = time.saturating_sub(less),
            Step::First => {
                firsts.push(budget.deposit(now));
                model.first(time);
            }
            Step::FirstEnds { succeeded } => {
                let Some(first) = firsts.pop() else { continue };
                if succeeded {
                    first.succeeded(now)
                } else {
                    first.failed()
                }
                model.first_ends(succeeded, time);
            }
            Step::Withdraw(kind) => {
                let got = levels.try_withdraw(kind, now);
                assert_eq!(got.is_ok(), model.withdraw(kind, id, time), "step {id}");
                if let Err(refused) = &got {
                    let wait = refused.refills_in().map(|wait| wait.as_millis() as u64);
                    // Allowed then and not a millisecond before; or not in years.
                    let then = time + wait.unwrap_or(1 << 37);
                    assert_eq!(model.allows(kind, then), wait.is_some(), "step {id}: {wait:?}");
                    assert!(!model.allows(kind, then - 1), "step {id}: {wait:?}");
                }
                retries.extend(got.ok().map(|retry| (id, retry)));
            }
            Step::Start => {
                // Started and then lost is failed.
                let Some((own, mut retry)) = retries.pop() else { continue };
                retry.start();
                drop(retry);
                model.ends(own, false, time);
            }
            Step::End { succeeded } => {
                let Some((own, retry)) = retries.pop() else { continue };
                if succeeded {
                    retry.succeeded(now)
                } else {
                    retry.failed()
                }
                model.ends(own, succeeded, time);
            }
            Step::Drop => {
                let Some((own, _)) = retries.pop() else { continue };
                model.never_started(own);
            }
            Step::Store => {
                let Some((own, retry)) = retries.pop() else { continue };
                let words = retry.detach().to_words();
                retries.insert(0, (own, levels.redeem(Receipt::from_words(words))));
            }
            Step::FailedForGood(kind) => {
                budget.failed_for_good(kind, now);
                model.failed_for_good(kind, time);
            }
        }
        let left = budget.left(origin + ms(time));
        assert_eq!(left, model.left(time), "after step {id}, {step:?}, at {time}");
    }
}

/// Thousandths of a token. Time brings whole ones each millisecond.
struct Tokens {
    capacity: u64,
    threshold: u64,
    success: u64,
    refunds_cost: bool,
    charge: Charge,
    per_ms: u64,
    tokens: u64,
    at: u64,
    taken: Vec<(usize, u64)>,
}

impl Tokens {
    const COSTS: [u64; 3] = [1_500, 700, 4_000];

    /// What there is at a time. One before the last change brings nothing.
    fn by(&self, now: u64) -> u64 {
        let brought = self.per_ms * now.saturating_sub(self.at);
        (self.tokens + brought).min(self.capacity)
    }

    fn come(&mut self, now: u64) {
        self.tokens = self.by(now);
        self.at = self.at.max(now);
    }

    fn bring(&mut self, tokens: u64) {
        self.tokens = (self.tokens + tokens).min(self.capacity);
    }

    fn cost(&self, id: usize) -> u64 {
        self.taken.iter().find(|(own, _)| *own == id).expect("it was taken").1
    }
}

impl Model for Tokens {
    fn first_ends(&mut self, succeeded: bool, now: u64) {
        if succeeded {
            self.come(now);
            self.bring(self.success);
        }
    }

    fn allows(&self, kind: FailureKind, now: u64) -> bool {
        let (cost, there) = (Self::COSTS[kind as usize], self.by(now));
        match self.charge {
            Charge::Failure => there.saturating_sub(cost) > self.threshold,
            Charge::Retry => there > self.threshold && there >= cost,
        }
    }

    fn withdraw(&mut self, kind: FailureKind, id: usize, now: u64) -> bool {
        let cost = Self::COSTS[kind as usize];
        let allowed = self.allows(kind, now);
        if allowed || self.charge == Charge::Failure {
            self.come(now);
            self.tokens = self.tokens.saturating_sub(cost);
        }
        if allowed {
            self.taken.push((id, cost));
        }
        allowed
    }

    fn ends(&mut self, id: usize, succeeded: bool, now: u64) {
        if succeeded {
            self.come(now);
            self.bring(if self.refunds_cost { self.cost(id) } else { self.success });
        }
    }

    fn never_started(&mut self, id: usize) {
        if self.charge == Charge::Retry {
            self.bring(self.cost(id));
        }
    }

    fn failed_for_good(&mut self, kind: FailureKind, now: u64) {
        if self.charge == Charge::Failure {
            self.come(now);
            self.tokens = self.tokens.saturating_sub(Self::COSTS[kind as usize]);
        }
    }

    fn left(&mut self, now: u64) -> f64 {
        self.by(now) as f64 / 1_000.0
    }
}

/// Every deposit and withdrawal, with its slice.
struct Window {
    slice_ms: u64,
    slices: u64,
    reserve: u64,
    per_deposit: u64,
    deposits: Vec<u64>,
    retries: Vec<(usize, u64)>,
    newest: u64,
}

impl Window {
    /// Thousandths of a retry that are left at a time.
    fn milli(&self, now: u64) -> u64 {
        let newest = self.slice(now);
        let counts = |slice: &u64| newest - slice < self.slices;
        let deposits = self.deposits.iter().filter(|slice| counts(slice)).count() as u64;
        let retries = self.retries.iter().filter(|(_, slice)| counts(slice)).count() as u64;
        (self.reserve * 1_000 + deposits * self.per_deposit).saturating_sub(retries * 1_000)
    }

    /// The newest slice that anybody has come in by then.
    fn slice(&self, now: u64) -> u64 {
        self.newest.max(now / self.slice_ms)
    }
}

impl Model for Window {
    fn first(&mut self, now: u64) {
        self.newest = self.slice(now);
        self.deposits.push(self.newest);
    }

    fn allows(&self, _kind: FailureKind, now: u64) -> bool {
        self.milli(now) >= 1_000
    }

    fn withdraw(&mut self, kind: FailureKind, id: usize, now: u64) -> bool {
        self.newest = self.slice(now);
        let allowed = self.allows(kind, now);
        if allowed {
            self.retries.push((id, self.newest));
        }
        allowed
    }

    fn never_started(&mut self, id: usize) {
        self.retries.retain(|(own, _)| *own != id);
    }

    fn left(&mut self, now: u64) -> f64 {
        self.newest = self.slice(now);
        (self.milli(now) / 1_000) as f64
    }
}

/// What is under way.
struct UnderWay {
    firsts: u64,
    retries: u64,
    share: u64,
    least: u64,
}

impl UnderWay {
    fn limit(&self) -> u64 {
        ((self.firsts + self.retries) * self.share / 1_000).max(self.least)
    }
}

impl Model for UnderWay {
    fn first(&mut self, _now: u64) {
        self.firsts += 1;
    }

    fn first_ends(&mut self, _succeeded: bool, _now: u64) {
        self.firsts -= 1;
    }

    fn allows(&self, _kind: FailureKind, _now: u64) -> bool {
        self.retries < self.limit()
    }

    fn withdraw(&mut self, kind: FailureKind, _id: usize, now: u64) -> bool {
        let allowed = self.allows(kind, now);
        self.retries += u64::from(allowed);
        allowed
    }

    fn ends(&mut self, _id: usize, _succeeded: bool, _now: u64) {
        self.retries -= 1;
    }

    fn never_started(&mut self, _id: usize) {
        self.retries -= 1;
    }

    fn left(&mut self, _now: u64) -> f64 {
        self.limit().saturating_sub(self.retries) as f64
    }
}

/// Origins from which time is counted: zero, one that 40 bits of milliseconds have gone round
/// since, and 1970.
fn origins() -> impl Strategy<Value = Duration> {
    prop::sample::select(vec![START, ms(1_099_511_620_000), Duration::from_secs(1_795_000_000)])
}

proptest! {
    /// Goal: a bucket does what its rules say. Method: random programs of both charges, thresholds
    /// and refills, beside one number.
    #[test]
    fn buckets_agree_with_a_number(
        program in steps(),
        origin in origins(),
        failures in any::<bool>(),
        refunds_cost in any::<bool>(),
        threshold in prop::sample::select(vec![0, 4_500]),
        per_ms in prop::sample::select(vec![0, 2]),
    ) {
        let charge = if failures { Charge::Failure } else { Charge::Retry };
        let bucket = RetryBudget::bucket().capacity(9.0).charge(charge).success(0.8);
        let bucket = bucket.refund_cost(refunds_cost).threshold(threshold as f64 / 1e3);
        let bucket = FailureKind::ALL.into_iter().zip(Tokens::COSTS)
            .fold(bucket, |bucket, (kind, cost)| bucket.cost(kind, cost as f64 / 1e3));
        let budget = bucket.refill_per_second(per_ms as f64).build().expect("valid");
        let mut model = Tokens {
            capacity: 9_000, threshold, success: 800, refunds_cost, charge, per_ms,
            tokens: 9_000, at: 0, taken: Vec::new(),
        };
        agree(&budget, &mut model, &program, origin);
    }

    /// Goal: a ratio budget counts the deposits and withdrawals of the last slices, each once.
    /// Method: random programs of waits of all lengths, beside lists of all that happened.
    #[test]
    fn ratios_agree_with_lists(
        program in steps(),
        origin in origins(),
        slices in 2..13_u64,
        min_per_second in 0..3_u64,
        per_deposit in prop::sample::select(vec![0, 200, 333, 1_000, 2_500]),
    ) {
        let ratio = RetryBudget::finagle().ratio(per_deposit as f64 / 1e3);
        let ratio = ratio.min_per_second(min_per_second as u32).ttl(ms(slices * 500));
        let budget = ratio.slices(slices as u32).build();
        // Shorter than a second is refused.
        let Ok(budget) = budget else { return Err(TestCaseError::reject("too short")) };
        let reserve = min_per_second * slices * 500 / 1_000;
        let mut model = Window {
            slice_ms: 500, slices, reserve, per_deposit,
            deposits: Vec::new(), retries: Vec::new(), newest: 0,
        };
        // The origins are whole slices, so that both cut time alike.
        agree(&budget, &mut model, &program, origin);
    }

    /// Goal: retries under way are limited by what is under way, and every end is noticed.
    /// Method: random programs, beside two numbers.
    #[test]
    fn gauges_agree_with_numbers(
        program in steps(),
        share in prop::sample::select(vec![0, 200, 500, 1_000]),
        least in 0..4_u64,
    ) {
        let envoy = RetryBudget::envoy().share(share as f64 / 1e3).min_retries(least as u32);
        let budget = envoy.build().expect("valid");
        let mut model = UnderWay { firsts: 0, retries: 0, share, least };
        agree(&budget, &mut model, &program, START);
    }
}
