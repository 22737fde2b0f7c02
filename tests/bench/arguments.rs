//! What `./dev bench npm` or `./dev bench cargo` was asked for.

use crate::rows::{Format, ROWS, Row};

#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    pub format: Format,
    /// In the order of [`ROWS`].
    pub rows: Vec<&'static str>,
    /// Into docs/benchmarks.md.
    pub write: bool,
    /// Once and briefly: whether it works, and not how fast.
    pub quick: bool,
}

/// The format first, then rows of it and options.
pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let format = match arguments.next().as_deref() {
        Some("npm") => Format::Npm,
        Some("cargo") => Format::Cargo,
        _ => return Err("say npm or cargo first".to_owned()),
    };
    let of_format: Vec<&Row> = ROWS.iter().filter(|row| row.format == format).collect();
    let (mut write, mut quick, mut named) = (false, false, Vec::new());
    for argument in arguments {
        match argument.as_str() {
            "--write" => write = true,
            "--quick" => quick = true,
            option if option.starts_with('-') => return Err(format!("no such option: {option}")),
            name if of_format.iter().any(|row| row.name == name) => named.push(argument),
            name => {
                let known: Vec<_> = of_format.iter().map(|row| row.name).collect();
                return Err(format!("no such row: {name}; there are {}", known.join(", ")));
            }
        }
    }
    if write && (quick || !named.is_empty()) {
        return Err("--write wants all rows, in full".to_owned());
    }
    let wanted = |row: &&str| named.is_empty() || named.iter().any(|name| name == row);
    let rows = of_format.iter().map(|row| row.name).filter(wanted).collect();
    Ok(Arguments { format, rows, write, quick })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Arguments, String> {
        let all = std::iter::once(&"npm").chain(arguments);
        parse(all.map(|&argument| argument.to_owned()))
    }

    #[test]
    fn rows_are_picked_by_name_and_all_of_them_without() {
        let rows = parsed(&[]).unwrap().rows;
        assert_eq!((rows.first(), rows.last()), (Some(&"packument"), Some(&"advisories")));
        let of_crates = parse(["cargo".to_owned()].into_iter()).unwrap();
        assert_eq!(of_crates.rows, ["index", "crate", "crates", "workspace"]);
        assert!(parsed(&["crate"]).unwrap_err().contains("packument"));
        assert!(parse(["start".to_owned()].into_iter()).unwrap_err().contains("npm or cargo"));
        let picked = parsed(&["--quick", "start", "blob"]).unwrap();
        assert_eq!(
            picked,
            Arguments {
                format: Format::Npm,
                rows: vec!["blob", "start"],
                write: false,
                quick: true,
            }
        );
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
