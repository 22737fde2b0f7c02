//! What `./dev bench npm` was asked for.

use crate::rows::ROWS;

#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// In the order of [`ROWS`].
    pub rows: Vec<&'static str>,
    /// Into docs/benchmarks.md.
    pub write: bool,
    /// Once and briefly: whether it works, and not how fast.
    pub quick: bool,
}

pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut write, mut quick, mut named) = (false, false, Vec::new());
    for argument in arguments {
        match argument.as_str() {
            "--write" => write = true,
            "--quick" => quick = true,
            option if option.starts_with('-') => return Err(format!("no such option: {option}")),
            name if ROWS.iter().any(|row| row.name == name) => named.push(argument),
            name => {
                let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
                return Err(format!("no such row: {name}; there are {}", known.join(", ")));
            }
        }
    }
    if write && (quick || !named.is_empty()) {
        return Err("--write wants all rows, in full".to_owned());
    }
    let wanted = |row: &&str| named.is_empty() || named.iter().any(|name| name == row);
    let rows = ROWS.iter().map(|row| row.name).filter(wanted).collect();
    Ok(Arguments { rows, write, quick })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Arguments, String> {
        parse(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn rows_are_picked_by_name_and_all_of_them_without() {
        assert_eq!(parsed(&[]).unwrap().rows.len(), ROWS.len());
        let picked = parsed(&["--quick", "start", "blob"]).unwrap();
        assert_eq!(picked, Arguments { rows: vec!["blob", "start"], write: false, quick: true });
        assert!(parsed(&["bolb"]).unwrap_err().contains("blob"));
        assert!(parsed(&["--wirte"]).is_err());
    }

    #[test]
    fn only_a_full_run_is_written_down() {
        assert!(parsed(&["--write"]).unwrap().write);
        assert!(parsed(&["--write", "--quick"]).is_err());
        assert!(parsed(&["--write", "blob"]).is_err());
    }
}
