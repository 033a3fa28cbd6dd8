//! The life of a machine: which boot this is, and how its clocks are shifted for this process.

/// Two words that differ between boots; zeroes where the system does not say.
pub(crate) fn boot_id() -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).unwrap_or(0);
    [(number >> 64) as u64, number as u64]
}

/// How many milliseconds the monotonic clock of this process is ahead of the machine's, in a time
/// namespace of its own (`time_namespaces(7)`).
pub(crate) fn clock_shift_ms() -> i64 {
    let text = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    shift_of(&text).unwrap_or(0)
}

fn shift_of(text: &str) -> Option<i64> {
    let line = text.lines().find(|line| line.starts_with("monotonic"))?;
    let mut numbers = line.split_whitespace().skip(1).map(str::parse::<i64>);
    let (seconds, nanos) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000))
}

#[cfg(all(test, not(oncegate_loom)))]
mod tests {
    use super::*;

    /// Goal: the shift is read as the kernel writes it. Method: its text, and none.
    #[test]
    fn shifts_are_read() {
        let text = "monotonic       86400   500000000\nboottime           0           0\n";
        assert_eq!(shift_of(text), Some(86_400_500));
        assert_eq!(shift_of("monotonic -2 0"), Some(-2_000));
        assert_eq!(shift_of(""), None);
        assert_eq!(shift_of("monotonic x"), None);
    }

    /// Goal: a boot has one id. Method: ask twice.
    #[test]
    fn the_boot_stays_the_same() {
        assert_eq!(boot_id(), boot_id());
    }
}
