//! Reads the lines of an .npmrc. Pure.

/// What one line of an .npmrc says, as far as it concerns garth. Values of credentials are not kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Registry(&'a str),
    /// A scope such as `@acme` has a registry of its own.
    Scope(&'a str),
    /// The key of a credential, such as `//npm.example.com/:_authToken`.
    Credential(&'a str),
}

pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, Line<'_>)> {
    text.lines().enumerate().filter_map(|(index, line)| Some((index + 1, read(line)?)))
}

fn read(line: &str) -> Option<Line<'_>> {
    let line = line.trim();
    if line.starts_with([';', '#']) {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
    if key == "registry" {
        return Some(Line::Registry(value));
    }
    if let Some(scope) = key.strip_suffix(":registry") {
        return scope.starts_with('@').then_some(Line::Scope(scope));
    }
    let setting = key.rsplit(':').next().unwrap_or(key);
    let secret = ["_authToken", "_auth", "_password", "username", "keyfile", "certfile"];
    secret.contains(&setting).then_some(Line::Credential(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_kind_are_told_apart() {
        let text = "; registry=no\n# registry=no\n registry = \"https://npm.example.com\" \n\
                    @acme:registry=https://acme.example.com\n\
                    //npm.example.com/:_authToken=hush\n_auth=hush\nfund=false\nnonsense\n";
        let read: Vec<_> = lines(text).collect();
        assert_eq!(
            read,
            [
                (3, Line::Registry("https://npm.example.com")),
                (4, Line::Scope("@acme")),
                (5, Line::Credential("//npm.example.com/:_authToken")),
                (6, Line::Credential("_auth")),
            ]
        );
    }
}
