//! Tables in Markdown.

/// A table: a title, what stands over its columns, and its rows.
pub(crate) struct Table {
    title: String,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, head: &[&'static str]) -> Self {
        Self { title: title.into(), head: head.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn print(&self) {
        println!("**{}**\n\n| {} |", self.title, self.head.join(" | "));
        println!("|{}", "---|".repeat(self.head.len()));
        self.rows.iter().for_each(|row| println!("| {} |", row.join(" | ")));
        println!();
    }
}

/// The middle of some numbers, and their ends.
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut all: Vec<f64> = numbers.into_iter().collect();
        all.sort_by(f64::total_cmp);
        let at = |place: usize| all.get(place).copied().unwrap_or(f64::NAN);
        let last = all.len().saturating_sub(1);
        Self { median: at(all.len() / 2), least: at(0), greatest: at(last) }
    }

    /// The median, and the ends in brackets.
    pub(crate) fn words(&self) -> String {
        let [median, least, greatest] = [self.median, self.least, self.greatest].map(digits);
        format!("{median} ({least} to {greatest})")
    }
}

/// Three digits, or all before the point.
pub(crate) fn digits(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => thousands(number.round() as i64),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        size if size >= 0.1 => format!("{number:.3}"),
        _ => format!("{number:.4}"),
    }
}

fn thousands(number: i64) -> String {
    if number < 1_000 {
        return number.to_string();
    }
    format!("{},{:03}", thousands(number / 1_000), number % 1_000)
}

#[cfg(test)]
mod tests {
    use super::{Spread, digits};

    /// Goal: numbers are rounded to what they are worth. Method: one of each size.
    #[test]
    fn numbers_have_three_digits() {
        let numbers = [1_234_567.8, 123.4, 12.345, 1.2345, 0.12345, 0.001_23];
        let words = numbers.map(digits);
        assert_eq!(words, ["1,234,568", "123", "12.3", "1.23", "0.123", "0.0012"]);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]).words(), "2.00 (1.00 to 3.00)");
    }
}
