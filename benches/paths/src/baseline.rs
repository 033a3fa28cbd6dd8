//! Baseline: the counts that are committed, and what deviates from them.

use std::fmt::Write;

/// Instructions of each path, and the compiler that made them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Baseline {
    pub(crate) compiler: String,
    pub(crate) counts: Vec<(String, f64)>,
}

/// What a comparison came to.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// A line for each path.
    pub(crate) text: String,
    /// How many paths fail the gate.
    pub(crate) worse: usize,
}

impl Baseline {
    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// Says which line is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut read = Self { compiler: String::new(), counts: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            if let Some(compiler) = line.strip_prefix(COMPILER) {
                read.compiler = compiler.trim().to_owned();
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || format!("line {}: not a path and its count: {line}", at + 1);
            let (name, count) = line.split_once(char::is_whitespace).ok_or_else(wrong)?;
            let count = count.trim().parse().map_err(|_| wrong())?;
            read.counts.push((name.to_owned(), count));
        }
        Ok(read)
    }

    /// The file's text.
    pub(crate) fn write(&self) -> String {
        format!("{HEAD}{COMPILER} {}\n\n{}", self.compiler, self.table())
    }

    /// A line for each path.
    pub(crate) fn table(&self) -> String {
        self.counts.iter().fold(String::new(), |mut text, (name, count)| {
            let _ = writeln!(text, "{name:<20} {count:>8.1}");
            text
        })
    }

    /// Compares `now` with this. Under another compiler nothing fails: it only says so.
    pub(crate) fn compare(&self, now: &Self) -> Verdict {
        let same_compiler = self.compiler == now.compiler;
        let mut verdict = Verdict { text: String::new(), worse: 0 };
        for (name, count) in &now.counts {
            let before = self.counts.iter().find(|(other, _)| other == name);
            let (said, failed) = match before {
                None => ("not in the baseline".to_owned(), true),
                Some((_, before)) => {
                    let change = count / before - 1.0;
                    let said = format!("{:+6.1} % from {before:.1}", change * 100.0);
                    (said, change.abs() > TOLERANCE)
                }
            };
            verdict.worse += usize::from(failed && same_compiler);
            let mark = if failed { "  <--" } else { "" };
            let _ = writeln!(verdict.text, "{name:<20} {count:>8.1}  {said}{mark}");
        }
        let gone = self.counts.iter().filter(|(name, _)| now.counts.iter().all(|(n, _)| n != name));
        for (name, _) in gone {
            verdict.worse += usize::from(same_compiler);
            let _ = writeln!(verdict.text, "{name:<20} is in the baseline, and was not counted");
        }
        if !same_compiler {
            let _ = writeln!(
                verdict.text,
                "WARNING: the baseline was made by {}, this is {}: nothing was held against it",
                self.compiler, now.compiler
            );
        }
        verdict
    }
}

/// How far a count may be from the baseline, either way: a path that became cheaper is a new
/// baseline, or the next regression would go unseen.
const TOLERANCE: f64 = 0.03;

const COMPILER: &str = "# compiler:";

const HEAD: &str = "\
# Instructions of the engine's hot paths, counted by callgrind; `make instructions` compares.
# A path fails when it is 3 % away from its line. When that is wanted, `make instructions UPDATE=1`
# writes this file anew; commit it with the change that it belongs to, and say why.
# Under another compiler than the one below, differences are printed and do not fail.
# Callgrind knows no SHA instructions: hash-keyed counts the portable code, which processors with
# them do not run.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(compiler: &str, counts: &[(&str, f64)]) -> Baseline {
        let counts = counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        Baseline { compiler: compiler.to_owned(), counts }
    }

    /// Goal: what is written is read again. Method: there and back; a broken line is refused.
    #[test]
    fn baselines_survive_their_file() {
        let counted = baseline("rustc 1.2.3", &[("new", 812.5), ("renew", 90.0)]);
        assert_eq!(Baseline::parse(&counted.write()), Ok(counted));
        assert!(Baseline::parse("new\n").is_err());
        assert!(Baseline::parse("new many\n").is_err());
    }

    /// Goal: the gate bites. Method: changes just inside and just outside of the tolerance, a
    /// path that is new, one that is gone, and another compiler.
    #[test]
    fn deviations_fail() {
        let before = baseline("a", &[("new", 1_000.0), ("renew", 100.0)]);
        let worse = |now: Baseline| before.compare(&now).worse;
        assert_eq!(worse(baseline("a", &[("new", 1_029.0), ("renew", 98.0)])), 0);
        assert_eq!(worse(baseline("a", &[("new", 1_031.0), ("renew", 100.0)])), 1);
        assert_eq!(worse(baseline("a", &[("new", 1_000.0), ("renew", 96.0)])), 1);
        assert_eq!(worse(baseline("a", &[("new", 1_000.0)])), 1);
        assert_eq!(worse(baseline("a", &[("new", 1_000.0), ("renew", 100.0), ("x", 1.0)])), 1);
        let other = before.compare(&baseline("b", &[("new", 9_000.0), ("renew", 100.0)]));
        assert_eq!(other.worse, 0);
        assert!(other.text.contains("WARNING"), "{}", other.text);
    }
}
