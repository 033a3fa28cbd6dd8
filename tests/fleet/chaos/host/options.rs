//! How a host opens its engine.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use oncegate::tier::{OnOutage, Redis, TierOptions};
use oncegate::{Engine, Reach, Secret};

/// Opens what `words` say.
pub(crate) fn open<'l>(words: impl Iterator<Item = &'l str>) -> Result<Engine, String> {
    let given: HashMap<&str, &str> = words.filter_map(|word| word.split_once('=')).collect();
    let ms = |name: &str| -> Result<Option<Duration>, String> {
        let Some(value) = given.get(name) else { return Ok(None) };
        let ms = value.parse().map_err(|_| format!("{name} is no number"))?;
        Ok(Some(Duration::from_millis(ms)))
    };
    let needed = |name: &str| ms(name)?.ok_or_else(|| format!("{name} is missing"));
    let deadline = needed("deadline")?;
    let mut options = TierOptions::new().deadline(deadline).on_outage(OnOutage::Refuse);
    if let Some(slice) = ms("slice")? {
        options = options.lease_slice(slice);
    }
    if let Some(quarantine) = ms("quarantine")? {
        options = options.quarantine(quarantine);
    }
    let mut builder = Engine::builder()
        .capacity(10_000)
        .precise_clock()
        .secret(Secret::from_bytes(&[7; 32]).map_err(|error| error.to_string())?)
        .lease_duration(needed("lease")?)
        .tier(redis(&given, deadline)?)
        .tier_options(options);
    if let Some(path) = given.get("table") {
        builder = builder.reach(Reach::Host(Path::new(path).to_owned()));
    }
    builder.build().map_err(|error| error.to_string())
}

fn redis(given: &HashMap<&str, &str>, deadline: Duration) -> Result<Redis, String> {
    let list = |name: &str| given.get(name).map(|all| all.split(',').collect::<Vec<_>>());
    let url = given.get("url").ok_or("url is missing")?;
    let mut redis = Redis::builder(url).connect_within(deadline);
    if let Some([name, urls @ ..]) = list("sentinels").as_deref() {
        redis = redis.sentinels(name, urls);
    }
    if let Some(urls) = list("cluster") {
        redis = redis.cluster(&urls);
    }
    redis.build().map_err(|error| error.to_string())
}
