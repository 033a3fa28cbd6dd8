//! A Rust file split into code and comments, line by line.
//!
//! Not a parser: enough of the lexical rules (strings, raw strings, characters, nested comments)
//! that a word in a string or a comment is never taken for code.

/// A Rust file. `code`, `comments` and `test` have one entry a line.
pub(crate) struct Source {
    /// The line with comments, and what strings hold, blanked out.
    pub(crate) code: Vec<String>,
    /// The comments of the line, with their slashes.
    pub(crate) comments: Vec<String>,
    /// Whether the line is compiled for tests only.
    pub(crate) test: Vec<bool>,
    /// Modules in files of their own that are declared under `cfg(test)`.
    pub(crate) test_modules: Vec<String>,
}

impl Source {
    /// Lines of code with their numbers, from one; tests left out.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.iter().zip(&self.test).enumerate();
        lines.filter(|(_, (_, test))| !**test).map(|(at, (code, _))| (at + 1, code.as_str()))
    }

    /// All lines of code with their numbers, from one.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(at, code)| (at + 1, code.as_str()))
    }

    /// The comments on `line` (from one) and on the `above` lines before it; where that begins
    /// inside an unbroken block of comments and attributes, the whole of the block.
    pub(crate) fn comments_near(&self, line: usize, above: usize) -> String {
        let first = line.saturating_sub(above).max(1);
        let block =
            if self.is_preamble(first) { self.comments_above(first) } else { String::new() };
        block + "\n" + &self.comments[first - 1..line].join("\n")
    }

    /// The comments in the unbroken block of comments and attributes directly above `line`.
    pub(crate) fn comments_above(&self, line: usize) -> String {
        let mut first = line;
        while first > 1 && self.is_preamble(first - 1) {
            first -= 1;
        }
        self.comments[first - 1..line].join("\n")
    }

    fn is_preamble(&self, line: usize) -> bool {
        let code = self.code[line - 1].trim();
        let comment = !self.comments[line - 1].trim().is_empty();
        (code.is_empty() && comment) || code.starts_with("#[")
    }

    /// The code as one text; `line_at` finds the line of an offset in it.
    pub(crate) fn joined(&self) -> String {
        self.code.join("\n")
    }
}

/// The line, from one, of the byte at `offset` in `text`.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Where `word` stands in `code` with no letter, digit or underscore on either side.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// The folder, with its slash, in which the modules declared by the file at `path` lie.
pub(crate) fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let slash = if folder.is_empty() { "" } else { "/" };
    match name.trim_end_matches(".rs") {
        "lib" | "main" | "mod" => format!("{folder}{slash}"),
        stem => format!("{folder}{slash}{stem}/"),
    }
}

/// The offset just past the bracket that closes the one at `open`.
pub(crate) fn close(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// Splits `text` into code and comments.
pub(crate) fn scan(text: &str) -> Source {
    let (code, comments) = Splitter::default().split(text);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut test = vec![code.contains("#![cfg(test)]"); code.lines().count()];
    let test_modules = mark_tests(&code, &mut test);
    Source { code: lines(&code), comments: lines(&comments), test, test_modules }
}

/// Marks the items under `cfg(test)`; answers the modules among them that are other files.
fn mark_tests(code: &str, test: &mut [bool]) -> Vec<String> {
    let mut modules = Vec::new();
    for marker in ["#[cfg(test)]", "#[cfg(all(test"] {
        for (at, _) in code.match_indices(marker) {
            let Some(after) = close(code, at + 1) else { continue };
            let Some(end) = code[after..].find(['{', ';']).map(|found| after + found) else {
                continue;
            };
            if code.as_bytes()[end] == b';' {
                let name = code[after..end].rsplit(' ').next().unwrap_or_default().trim();
                modules.push(name.to_owned());
                test[line_at(code, at) - 1..line_at(code, end)].fill(true);
            } else if let Some(past) = close(code, end) {
                test[line_at(code, at) - 1..line_at(code, past - 1)].fill(true);
            }
        }
    }
    modules
}

/// Where the splitter stands.
#[derive(Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Code,
    LineComment,
    BlockComment(u32),
    Text,
    /// A raw string with this many hashes.
    Raw(usize),
}

#[derive(Default)]
struct Splitter {
    state: State,
    code: String,
    comments: String,
}

impl Splitter {
    fn split(mut self, text: &str) -> (String, String) {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            at += self.step(&chars, at);
        }
        (self.code, self.comments)
    }

    /// Consumes what begins at `at`; answers how many characters that was.
    fn step(&mut self, chars: &[char], at: usize) -> usize {
        let next = chars.get(at + 1).copied().unwrap_or('\0');
        if chars[at] == '\n' && self.state == State::LineComment {
            self.state = State::Code;
        }
        match (self.state, chars[at], next) {
            (State::Code, '/', '/') => self.enter(State::LineComment, chars, at, 2),
            (State::Code, '/', '*') => self.enter(State::BlockComment(1), chars, at, 2),
            (State::Code, '"', _) => self.quote(State::Text),
            (State::Code, 'r', '#' | '"') => self.raw(chars, at),
            (State::Code, '\'', _) => self.character(chars, at),
            (State::BlockComment(depth), '/', '*') => {
                self.enter(State::BlockComment(depth + 1), chars, at, 2)
            }
            (State::BlockComment(depth), '*', '/') => {
                let taken = self.keep(chars, at, 2);
                self.state = if depth == 1 { State::Code } else { State::BlockComment(depth - 1) };
                taken
            }
            (State::Text, '\\', _) => self.keep(chars, at, 2.min(chars.len() - at)),
            (State::Text, '"', _) => self.quote(State::Code),
            (State::Raw(hashes), '"', _) if closes(chars, at, hashes) => {
                let taken = self.quote(State::Code);
                taken + self.keep(chars, at + 1, hashes)
            }
            _ => self.keep(chars, at, 1),
        }
    }

    fn enter(&mut self, state: State, chars: &[char], at: usize, count: usize) -> usize {
        self.state = state;
        self.keep(chars, at, count)
    }

    /// A quote stands in the code, so that a string is seen to be there.
    fn quote(&mut self, state: State) -> usize {
        self.state = state;
        self.code.push('"');
        self.comments.push(' ');
        1
    }

    /// Copies `count` characters to where the state says.
    fn keep(&mut self, chars: &[char], at: usize, count: usize) -> usize {
        for &c in &chars[at..at + count] {
            let comment = matches!(self.state, State::LineComment | State::BlockComment(_));
            let newline = c == '\n';
            let blank = |keep: bool| if newline || keep { c } else { ' ' };
            self.comments.push(blank(comment));
            self.code.push(blank(self.state == State::Code));
        }
        count
    }

    /// `r"`, `r#"`, `br"`: a raw string, unless the `r` ends a name or begins `r#name`.
    fn raw(&mut self, chars: &[char], at: usize) -> usize {
        let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
        let mut before = chars[..at].iter().rev().copied().peekable();
        let _prefix = before.next_if(|c| matches!(c, 'b' | 'c'));
        let in_name = before.peek().is_some_and(|c| c.is_alphanumeric() || *c == '_');
        if in_name || chars.get(at + 1 + hashes) != Some(&'"') {
            return self.keep(chars, at, 1);
        }
        let taken = self.keep(chars, at, 1 + hashes);
        taken + self.quote(State::Raw(hashes))
    }

    /// A character literal is blanked; a lifetime is kept.
    fn character(&mut self, chars: &[char], at: usize) -> usize {
        let rest = &chars[at..];
        let length = match (rest.get(1), rest.get(2)) {
            (Some('\\'), _) => rest.iter().skip(3).position(|c| *c == '\'').map(|found| found + 4),
            (Some(_), Some('\'')) => Some(3),
            _ => None,
        };
        let Some(length) = length else { return self.keep(chars, at, 1) };
        self.code.extend(std::iter::repeat_n(' ', length));
        self.comments.extend(std::iter::repeat_n(' ', length));
        length
    }
}

/// Whether the quote at `at` ends a raw string with this many hashes.
fn closes(chars: &[char], at: usize, hashes: usize) -> bool {
    chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
}
