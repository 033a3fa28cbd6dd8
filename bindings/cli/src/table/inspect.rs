//! `oncegate inspect`: one look at a table.

use oncegate::{Inspection, Scope, ScopeStatus};

use super::{InspectArgs, TableError, json, text};

/// What the command prints.
pub(crate) fn inspect(args: &InspectArgs) -> Result<String, TableError> {
    let failed = |error| args.table.failed(error);
    let file = args.table.open()?;
    let wanted = args.scope.as_deref().map(|name| {
        let scope = Scope::new(name)?;
        file.scope_hash(scope)
    });
    let hash = wanted.transpose().map_err(failed)?;
    let seen = file.inspect().map_err(failed)?;
    let named = args.scope.as_deref().zip(hash);
    Ok(if args.json { to_json(args, &seen, named) } else { to_text(args, &seen, named) })
}

fn to_json(args: &InspectArgs, seen: &Inspection, named: Option<(&str, u64)>) -> String {
    let top = usize::from(args.top);
    let mut object = json::inspection(&args.table.path, seen, top);
    if let (Some((_, hash)), Some(fields)) = (named, object.as_object_mut()) {
        let status = find(seen, hash).map(json::scope);
        fields.insert("scope".to_owned(), status.unwrap_or(serde_json::Value::Null));
    }
    object.to_string() + "\n"
}

fn to_text(args: &InspectArgs, seen: &Inspection, named: Option<(&str, u64)>) -> String {
    let top = usize::from(args.top);
    let mut text = format!("{}\n\n", args.table.path.display());
    text.push_str(&text::made_for(seen));
    text.push('\n');
    text.push_str(&text::state(seen));
    text.push('\n');
    text.push_str(&text::processes(seen, top));
    text.push_str(&text::scopes(seen, top));
    if let Some((name, hash)) = named {
        text.push_str(&match find(seen, hash) {
            Some(status) => format!("\nscope {name}\n{}", text::scope_rows([status])),
            None => format!("\nscope {name}: nothing limits it, so that it has no entry\n"),
        });
    }
    text
}

fn find(seen: &Inspection, hash: u64) -> Option<&ScopeStatus> {
    seen.scopes.iter().find(|status| status.hash == hash)
}
