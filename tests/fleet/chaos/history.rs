//! The history of a round: what every host asked and was told, key by key.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::line::{Ask, Told};

/// A process that took part, and its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// Processes of one machine may share a table.
    pub(crate) table: usize,
    /// When it was killed, if it was: before that it may have done anything, after it nothing.
    pub(crate) killed: Option<u64>,
}

/// A call, as its host saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Which of the hosts.
    pub(crate) host: usize,
    pub(crate) ask: Ask,
    pub(crate) invoked: u64,
    /// When it had returned, and what it said; `None`: nobody knows.
    pub(crate) told: Option<(u64, Told)>,
}

/// Something that a handler did, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) at: u64,
    pub(crate) token: u64,
}

/// What happened to one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyHistory {
    /// By invocation.
    pub(crate) events: Vec<Event>,
    pub(crate) effects: Vec<Effect>,
}

/// What happened in a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) hosts: Vec<Host>,
    pub(crate) keys: BTreeMap<String, KeyHistory>,
}

impl Event {
    pub(crate) fn told(&self) -> Option<&Told> {
        self.told.as_ref().map(|(_, told)| told)
    }

    /// When it had returned; a call that never did may take effect at any time.
    pub(crate) fn returned(&self) -> u64 {
        self.told.as_ref().map_or(u64::MAX, |(at, _)| *at)
    }

    pub(crate) const fn is_begin(&self) -> bool {
        matches!(self.ask, Ask::Begin)
    }
}

impl History {
    /// What the hosts wrote into `folder`.
    pub(crate) fn read(folder: &Path, hosts: &[Host]) -> Self {
        let mut history = Self { hosts: hosts.to_vec(), keys: BTreeMap::new() };
        for (number, host) in hosts.iter().enumerate() {
            let path = folder.join(format!("{}.calls", host.name));
            // One that was killed before its first call has written nothing.
            history.add_calls(number, &fs::read_to_string(path).unwrap_or_default());
        }
        for (key, of_key) in &mut history.keys {
            let path = folder.join(format!("{key}.effects"));
            of_key.add_effects(&fs::read_to_string(path).unwrap_or_default());
            of_key.events.sort_by_key(|event| event.invoked);
        }
        history
    }

    /// Adds what one host wrote down.
    ///
    /// # Panics
    ///
    /// It is nothing that a host writes.
    pub(crate) fn add_calls(&mut self, host: usize, text: &str) {
        // By the number of its call: the key, and where among its events it is.
        let mut open: BTreeMap<u64, (String, usize)> = BTreeMap::new();
        for line in text.split_inclusive('\n') {
            let known = line.strip_suffix('\n').and_then(|line| self.add(host, line, &mut open));
            assert!(known.is_some(), "host {host} wrote: {line}");
        }
    }

    fn add(
        &mut self,
        host: usize,
        line: &str,
        open: &mut BTreeMap<u64, (String, usize)>,
    ) -> Option<()> {
        let (kind, rest) = line.trim().split_once(' ')?;
        let (number, rest) = rest.split_once(' ')?;
        let (at, rest) = rest.split_once(' ')?;
        let (number, at) = (number.parse().ok()?, at.parse().ok()?);
        match kind {
            "call" => {
                let (key, ask) = rest.split_once(' ')?;
                let events = &mut self.keys.entry(key.to_owned()).or_default().events;
                open.insert(number, (key.to_owned(), events.len()));
                events.push(Event { host, ask: ask.parse().ok()?, invoked: at, told: None });
            }
            "told" => {
                let (key, place) = open.remove(&number)?;
                let event = &mut self.keys.get_mut(&key)?.events[place];
                event.told = Some((at, rest.parse().ok()?));
            }
            _ => return None,
        }
        Some(())
    }

    /// When others may take over what `host` held, because it is known to be dead: those who share
    /// its table know that, and nobody else.
    pub(crate) fn kill_of(&self, host: usize) -> u64 {
        let Host { table, killed, .. } = self.hosts[host];
        let shared = self.hosts.iter().filter(|other| other.table == table).count() > 1;
        killed.filter(|_| shared).unwrap_or(u64::MAX)
    }

    /// What happened to `key`, for a reader: a line for each call and each effect.
    pub(crate) fn draw(&self, key: &str) -> String {
        let Some(of_key) = self.keys.get(key) else { return String::new() };
        let zero = of_key.events.first().map_or(0, |event| event.invoked);
        let ms = |at: u64| (at.wrapping_sub(zero) as i64) as f64 / 1e6;
        let mut lines: Vec<(u64, String)> = Vec::new();
        for event in &of_key.events {
            let Event { ask, invoked, .. } = event;
            let name = &self.hosts[event.host].name;
            let told = match &event.told {
                None => "?".to_owned(),
                Some((at, Told::Admitted { token, attempt, until })) => {
                    let until = ms(*until);
                    format!("{:10.1}  admitted {token} attempt {attempt} until {until:.1}", ms(*at))
                }
                Some((at, told)) => format!("{:10.1}  {told}", ms(*at)),
            };
            lines.push((*invoked, format!("{:10.1}  {name}  {ask}  -> {told}", ms(*invoked))));
        }
        for Effect { at, token } in &of_key.effects {
            lines.push((*at, format!("{:10.1}  effect of {token}", ms(*at))));
        }
        for host in &self.hosts {
            if let Some(at) = host.killed {
                lines.push((at, format!("{:10.1}  {} is killed", ms(at), host.name)));
            }
        }
        lines.sort();
        let mut text = format!("key {key}, in milliseconds\n");
        for (_, line) in lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

impl KeyHistory {
    fn add_effects(&mut self, text: &str) {
        for line in text.lines() {
            let effect = line.split_once(' ').and_then(|(at, token)| {
                Some(Effect { at: at.parse().ok()?, token: token.parse().ok()? })
            });
            self.effects.push(effect.unwrap_or_else(|| panic!("an effect that is none: {line}")));
        }
    }
}
