//! Fields of a Cargo.toml, as cargo writes them there.
//!
//! Pure. A field that is missing is none; one of another kind than cargo's is a fault, with its name.

use toml::{Table, Value};

/// What is said of a field that cargo could not read either.
pub fn none_of_cargo(field: &str) -> String {
    format!("{field} in its Cargo.toml is not what cargo writes there")
}

/// The entries of a table that may be missing.
pub fn table_at<'t>(
    table: &'t Table,
    field: &str,
) -> Result<impl Iterator<Item = (&'t String, &'t Value)>, String> {
    let value = table.get(field);
    let found = value.map(|value| value.as_table().ok_or_else(|| none_of_cargo(field)));
    Ok(found.transpose()?.into_iter().flatten())
}

pub fn text_at(table: &Table, field: &str) -> Result<Option<String>, String> {
    match table.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(none_of_cargo(field)),
    }
}

pub fn flag_at(table: &Table, field: &str) -> Result<Option<bool>, String> {
    match table.get(field) {
        None => Ok(None),
        Some(Value::Boolean(flag)) => Ok(Some(*flag)),
        Some(_) => Err(none_of_cargo(field)),
    }
}

/// The texts of a list that stands in `field`.
pub fn texts(value: &Value, field: &str) -> Result<Vec<String>, String> {
    let list = value.as_array().ok_or_else(|| none_of_cargo(field))?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    list.iter().map(text).collect::<Option<_>>().ok_or_else(|| none_of_cargo(field))
}
