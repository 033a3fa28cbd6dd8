//! What a way to a tier that a test meddles with passes on as it is.

/// The methods of a `Tier` that are those of the field `$way`: all but what begins and ends, and,
/// if so asked, what renews.
macro_rules! passed_on {
    ($way:ident) => {
        fn renew(
            &self,
            renewal: &oncegate::tier::Renewal,
            within: std::time::Duration,
        ) -> Result<oncegate::tier::Renewed, oncegate::tier::TierError> {
            self.$way.renew(renewal, within)
        }

        passed_on!($way, but renewals);
    };
    ($way:ident, but renewals) => {
        fn settle(
            &self,
            key: oncegate::tier::TierKey,
            end: &oncegate::tier::End<'_>,
            within: std::time::Duration,
        ) -> Result<oncegate::tier::Ended, oncegate::tier::TierError> {
            self.$way.settle(key, end, within)
        }

        fn read(
            &self,
            key: oncegate::tier::TierKey,
            within: std::time::Duration,
        ) -> Result<Option<oncegate::tier::Sighting>, oncegate::tier::TierError> {
            self.$way.read(key, within)
        }

        fn watch(
            &self,
            table: oncegate::tier::TableId,
            watcher: std::sync::Arc<dyn oncegate::tier::Watcher>,
        ) -> Result<(), oncegate::tier::TierError> {
            self.$way.watch(table, watcher)
        }

        fn beat(
            &self,
            table: oncegate::tier::TableId,
            lasts: std::time::Duration,
            within: std::time::Duration,
        ) -> Result<Vec<oncegate::tier::Hazard>, oncegate::tier::TierError> {
            self.$way.beat(table, lasts, within)
        }

        fn orphans(
            &self,
            limit: usize,
            within: std::time::Duration,
        ) -> Result<Vec<oncegate::tier::Orphan>, oncegate::tier::TierError> {
            self.$way.orphans(limit, within)
        }
    };
}
pub(super) use passed_on;
