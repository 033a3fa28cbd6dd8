//! Content in logs.
//!
//! Seen where keys and payloads are logged as they are: card numbers and credentials end up in
//! log files and metrics.

use std::fmt::Debug;

use oncegate::{
    Admission, BeginOptions, Engine, Error, Failure, KeyRules, Outcome, Payload, Quota, Ran,
    Request, Resolution, RunOptions, Scope, Secret,
};

use crate::support::{build, done};

/// A card number that is valid in form, in letters only where a field wants them.
const CANARY: &str = "4111111111111111";

/// Everything that is shown to anybody.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn debug(&mut self, value: &dyn Debug) {
        self.0.push(format!("{value:?} {value:#?}"));
    }

    fn error(&mut self, error: &Error) {
        self.0.push(format!("{error} {error:?} {error:#?} {}", error.field()));
    }

    fn check(&self) {
        assert!(self.0.len() > 20, "too little was looked at");
        for text in &self.0 {
            assert!(!text.contains(CANARY), "shown: {text}");
            assert!(!text.contains("52, 49, 49, 49"), "shown as bytes: {text}");
        }
    }
}

/// Goal: no content of a request or outcome is shown by anything that can be printed (I10).
/// Method: a card number in scope, operation, key, payload, outcome, metadata and secret; print
/// every value and every error that comes of it.
#[test]
fn card_number_is_shown_nowhere() {
    let mut shown = Shown::default();
    let scope = Scope::new(CANARY).expect("short");
    let json = format!(r#"{{"card": "{CANARY}"}}"#);
    let request =
        Request::new(scope, CANARY, CANARY).expect("short").payload(Payload::json(json.as_bytes()));
    let outcome = Outcome::new(200, CANARY).with_metadata(CANARY, CANARY).expect("small");
    let secret = || Secret::from_bytes(CANARY.repeat(2).as_bytes()).expect("32 bytes");
    let (engine, clock) =
        build(Engine::builder().capacity(100).secret(secret()).outcome_limit(100));
    shown.debug(&(scope, &request, Payload::json(json.as_bytes()), &outcome, secret()));
    shown.debug(&(&engine, &clock, Engine::builder().secret(secret()), KeyRules::any()));
    shown.debug(&engine.prepare(&request).expect("valid"));
    shown.debug(&engine.join(&request, &BeginOptions::new()));

    answers(&engine, &request, &outcome, &mut shown);
    errors(&engine, scope, &mut shown);
    shown.debug(&engine.stats().expect("not forked"));
    shown.check();
}

fn answers(engine: &Engine, request: &Request<'_>, outcome: &Outcome, shown: &mut Shown) {
    let options = RunOptions::new();
    let admission = engine.begin(request).expect("an answer");
    shown.debug(&admission);
    let Admission::Admitted(lease) = admission else { panic!("not admitted") };
    shown.debug(&(lease.token(), lease.fencing_token(), Failure::terminal(outcome.clone())));
    shown.debug(&engine.begin(request));
    lease.fail(Failure::unknown()).expect("held");
    shown.debug(&engine.begin(request));
    shown.debug(&Resolution::Succeeded(outcome.clone()));
    engine.resolve(request, Resolution::Succeeded(outcome.clone())).expect("unknown");
    shown.debug(&engine.begin(request));
    shown.debug(&engine.run(request, || Ok::<_, ()>(done("x"))).expect("an answer"));
    shown.debug(&Ran::<()>::Executed(outcome.clone()));
    shown.debug(&options);
    shown.debug(&engine.begin(&request.payload(Payload::raw(CANARY.as_bytes()))));
}

fn errors(engine: &Engine, scope: Scope<'_>, shown: &mut Shown) {
    let long = CANARY.repeat(100);
    let refuse = |rules: KeyRules, shown: &mut Shown| {
        shown.error(&rules.check(CANARY.as_bytes()).expect_err("refused"));
    };
    refuse(KeyRules::any().uuid(), shown);
    refuse(KeyRules::any().min_len(20), shown);
    refuse(KeyRules::any().refuse_predictable(), shown);
    shown.error(&Scope::new(&long).expect_err("too long"));
    shown.error(&Request::new(scope, &long, "k").expect_err("too long"));
    shown.error(&Request::new(scope, "op", &long).expect_err("too long"));
    shown.error(&Secret::from_bytes(CANARY.as_bytes()).expect_err("too short"));
    shown.error(&Outcome::new(200, "").with_metadata(&long, "v").expect_err("too long"));
    shown.error(&oncegate::LeaseToken::from_bytes(CANARY.as_bytes()).expect_err("malformed"));
    let twice = format!(r#"{{"{CANARY}": 1, "{CANARY}": 2}}"#);
    let cut = format!(r#"{{"{CANARY}": {CANARY}"#);
    let form = format!("{CANARY}=%zz");
    let pointers = [CANARY];
    let payloads = [
        Payload::json(twice.as_bytes()),
        Payload::json(cut.as_bytes()),
        Payload::json(CANARY.as_bytes()).excluding(&pointers),
        Payload::form(form.as_bytes()),
        Payload::multipart(CANARY.as_bytes(), CANARY),
    ];
    for payload in payloads {
        shown.error(&payload.check().expect_err("refused"));
    }
    let unknown = Request::new(scope, CANARY, "never seen").expect("short");
    shown.error(&engine.resolve(&unknown, Resolution::RunAgain).expect_err("never seen"));
    engine.set_quota(scope, Quota::unlimited().max_live(0)).expect("valid");
    shown.error(&engine.begin(&unknown).expect_err("no quota"));
}
