//! Twisted vectors: each has one expectation changed, so that a runner that looks at it fails.

use serde_json::{Map, Value, json};

/// Every vector that comes of `vector` by changing one thing that it expects.
pub(crate) fn twisted(vector: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let steps = vector.get("steps").and_then(Value::as_array).map_or(0, Vec::len);
    for at in 0..steps {
        let step = &vector["steps"][at];
        let mut twist = |what: &str, changed: Value| {
            let mut copy = vector.clone();
            copy["id"] = json!(format!("{}#{}.{what}", crate::files::id(vector), at + 1));
            copy["steps"][at] = changed;
            // What comes after the step that fails plays no part.
            if let Some(steps) = copy["steps"].as_array_mut() {
                steps.truncate(at + 1);
            }
            all.push(copy);
        };
        for (what, changed) in steps_of(step) {
            twist(&what, changed);
        }
        let requests = step.get("requests").and_then(Value::as_array).cloned().unwrap_or_default();
        for (index, request) in requests.iter().enumerate() {
            for (what, changed) in steps_of(request) {
                let mut copy = step.clone();
                copy["requests"][index] = changed;
                twist(&format!("{}.{what}", index + 1), copy);
            }
        }
    }
    all
}

/// What is changed, and the step with it changed.
fn steps_of(step: &Value) -> Vec<(String, Value)> {
    let nothing = Map::new();
    let expect = step.get("expect").and_then(Value::as_object).unwrap_or(&nothing);
    let mut all = Vec::new();
    let mut put = |name: &str, value: Value| {
        let mut copy = step.clone();
        let mut expect = expect.clone();
        expect.insert(name.to_owned(), value);
        copy["expect"] = Value::Object(expect);
        all.push((name.to_owned(), copy));
    };
    for (name, value) in expect {
        put(name, other(name, value));
    }
    // A status that nothing is said of is OK, and something that is unknown is refused.
    if !expect.contains_key("status") {
        put("status", json!("FENCED"));
    }
    put("unknown_field", json!(1));
    if let Some(names) = step.get("ascending").and_then(Value::as_array) {
        let mut copy = step.clone();
        copy["ascending"] = names.iter().rev().cloned().collect();
        all.push(("ascending".to_owned(), copy));
        let mut copy = step.clone();
        copy["ascending"] = json!([names.first(), names.first()]);
        all.push(("equal".to_owned(), copy));
    }
    let mut copy = step.clone();
    copy["unknown_field"] = json!(1);
    all.push(("unknown".to_owned(), copy));
    all
}

/// A value of the same kind that is another one, and may stand there.
fn other(name: &str, value: &Value) -> Value {
    let rotate = |choices: &[&str]| {
        let at = choices.iter().position(|choice| Some(*choice) == value.as_str()).unwrap_or(0);
        json!(choices[(at + 1) % choices.len()])
    };
    match name {
        "verdict" => rotate(&["ADMITTED", "REPLAYED", "IN_PROGRESS", "SCHEDULED", "MISMATCHED"]),
        "how" => rotate(&["CREATED", "RETRIED", "EXPIRED"]),
        "status" => rotate(&["OK", "FENCED", "FULL"]),
        "stored" => rotate(&["STORED", "STORED_WITHOUT_BYTES"]),
        "later" => rotate(&["SCHEDULED", "BURIED"]),
        "reason" => rotate(&["NONE", "ATTEMPTS", "DEADLINE", "BUDGET", "FINAL_ERROR"]),
        _ => changed(value),
    }
}

fn changed(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => json!(number.as_u64().map_or(1, |number| number + 1)),
        // The last digit or letter; what was hexadecimal stays so.
        Value::String(text) => {
            let mut text = text.clone();
            let last = text.pop();
            text.push(if last == Some('0') { '1' } else { '0' });
            if last.is_none() { json!("00") } else { json!(text) }
        }
        Value::Array(items) => match items.split_last() {
            None => json!([["x", "y"]]),
            Some((last, rest)) => rest.iter().cloned().chain([changed(last)]).collect(),
        },
        other => json!([other]),
    }
}
