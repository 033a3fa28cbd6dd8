//! The window of a terminal: what fits it.

/// How large a window is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    rows: usize,
    columns: usize,
}

impl Window {
    /// That of standard output, or the smallest that is usual where it is not told.
    pub(super) fn of_stdout() -> Self {
        #[cfg(unix)]
        if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stdout())
            && size.ws_row > 0
            && size.ws_col > 0
        {
            return Self { rows: size.ws_row.into(), columns: size.ws_col.into() };
        }
        Self { rows: 24, columns: 80 }
    }

    /// What `draw` makes of so many rows of two lists that all of it fits: of the longer one rows
    /// go first. The last line of the window stays free, for the cursor.
    pub(super) fn fit(
        self,
        draw: impl Fn(usize, usize) -> String,
        mut first: usize,
        mut second: usize,
    ) -> String {
        let most = self.rows.saturating_sub(1).max(1);
        let mut text = draw(first, second);
        while text.lines().count() > most && first + second > 0 {
            if first >= second {
                first -= 1
            } else {
                second -= 1
            }
            text = draw(first, second);
        }
        let lines = text.lines().take(most);
        lines.map(|line| self.cut(line) + "\n").collect()
    }

    fn cut(self, line: &str) -> String {
        if line.chars().count() <= self.columns {
            return line.to_owned();
        }
        let kept: String = line.chars().take(self.columns - 1).collect();
        kept + "…"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a view is never larger than its window, and shows as much as fits. Method: two lists
    /// with headings and a line that tells what is left out, in windows of every height.
    #[test]
    fn views_fit_their_window() {
        let list = |all: usize, shown: usize| {
            let rows = "row of a list that is rather long\n".repeat(shown.min(all));
            let heading = if shown > 0 { "heading\n" } else { "" };
            let more = if all > shown { "… and more\n" } else { "" };
            format!("list\n{heading}{rows}{more}")
        };
        let draw = |first, second| format!("head\n{}{}", list(20, first), list(4, second));
        for rows in 1..40 {
            let text = Window { rows, columns: 12 }.fit(draw, 16, 5);
            let lines = text.lines().count();
            assert!(lines <= rows.saturating_sub(1).max(1), "{rows}: {text}");
            assert!(
                text.starts_with("head\n") && text.lines().all(|line| line.chars().count() <= 12)
            );
            assert_eq!(text.contains("row of a li…"), rows > 7, "{rows}: {text}");
            assert!(
                !(8..=26).contains(&rows) || lines + 2 >= rows,
                "room is left in {rows}: {text}"
            );
        }
    }
}
